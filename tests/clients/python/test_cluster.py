"""PyMongo against a running cluster: SHOAL_URI is its router, CITIES the input file."""

import datetime
import json
import os
from collections import Counter
from decimal import Decimal

import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import ASCENDING, DESCENDING, DeleteOne, InsertOne, MongoClient, ReturnDocument, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, CursorNotFound, DuplicateKeyError, OperationFailure
from pymongo.write_concern import WriteConcern

with open(os.environ["CITIES"], encoding="utf-8") as file:
    ROWS = json.load(file)

# Of the rows, so many are inserted in order. Fewer than the sample has.
ORDERED = 1900

BOTH = pytest.mark.parametrize("name", ["cities", "by_country"])


@pytest.fixture(scope="session")
def client():
    with MongoClient(os.environ["SHOAL_URI"], compressors="zstd,snappy,zlib") as client:
        yield client


@pytest.fixture(scope="session")
def geo(client):
    geo = client.python_geo
    client.drop_database(geo)
    client.admin.command("enableSharding", "python_geo")
    client.admin.command("shardCollection", "python_geo.cities", key={"_id": "hashed"})
    client.admin.command("shardCollection", "python_geo.by_country", key={"country": 1, "name": 1})
    for name in ["cities", "by_country"]:
        documents = [{"_id": i, **row} for i, row in enumerate(ROWS)]
        # The default, which goes shard by shard in the order of the list; then what a loader would choose.
        first = geo[name].insert_many(documents[:ORDERED])
        rest = geo[name].insert_many(documents[ORDERED:], ordered=False)
        assert len(first.inserted_ids) + len(rest.inserted_ids) == len(ROWS)
    yield geo
    client.drop_database(geo)


@pytest.fixture(params=["sharded", "plain"])
def collection(client, request):
    database = client.python_play
    client.drop_database(database)
    if request.param == "sharded":
        client.admin.command("shardCollection", "python_play.sharded", key={"_id": "hashed"})
    yield database[request.param]
    client.drop_database(database)


def test_the_server_is_a_router(client):
    hello = client.admin.command("hello")
    assert hello["msg"] == "isdbgrid"
    assert hello["maxWireVersion"] == 25
    assert client.server_info()["version"].startswith("8.0")
    assert client.topology_description.topology_type_name == "Sharded"


@BOTH
def test_counts_equal_the_file(geo, name):
    wanted = Counter(row["country"] for row in ROWS)
    pipeline = [{"$group": {"_id": "$country", "n": {"$sum": 1}}}]
    assert {group["_id"]: group["n"] for group in geo[name].aggregate(pipeline)} == wanted
    assert geo[name].count_documents({}) == len(ROWS)
    assert geo[name].estimated_document_count() == len(ROWS)
    assert geo[name].count_documents({"country": "US"}) == wanted["US"]


@BOTH
def test_an_aggregation_equals_the_file(geo, name):
    found = list(
        geo[name].aggregate(
            [
                {"$match": {"admin2": {"$ne": ""}}},
                {"$addFields": {"latitude": {"$toDouble": "$lat"}}},
                {
                    "$group": {
                        "_id": {"country": "$country", "admin1": "$admin1"},
                        "n": {"$sum": 1},
                        "north": {"$max": "$latitude"},
                        "mean": {"$avg": "$latitude"},
                    }
                },
                {"$match": {"n": {"$gte": 5}}},
                {"$sort": {"n": -1, "_id.country": 1, "_id.admin1": 1}},
                {"$limit": 50},
            ]
        )
    )
    groups = {}
    for row in ROWS:
        if row["admin2"]:
            groups.setdefault((row["country"], row["admin1"]), []).append(float(row["lat"]))
    wanted = sorted(((-len(group), key) for key, group in groups.items() if len(group) >= 5))[:50]
    assert [(-one["n"], (one["_id"]["country"], one["_id"]["admin1"])) for one in found] == wanted
    for one in found:
        group = groups[one["_id"]["country"], one["_id"]["admin1"]]
        assert one["north"] == max(group)
        assert one["mean"] == pytest.approx(sum(group) / len(group), abs=1e-9)


def test_documents_lie_on_more_than_one_shard(geo):
    stats = list(geo.cities.aggregate([{"$collStats": {"storageStats": {}}}]))
    counts = {one["shard"]: one["storageStats"]["count"] for one in stats}
    assert len(counts) >= 2 and min(counts.values()) > 0, counts
    assert sum(counts.values()) == len(ROWS)


@BOTH
def test_a_sorted_cursor_over_several_batches(geo, name):
    wanted = sorted((row["name"] for row in ROWS if row["country"] == "IT"), key=str.encode)
    cursor = geo[name].find({"country": "IT"}, {"_id": 0, "name": 1}, batch_size=29).sort("name")
    assert [city["name"] for city in cursor] == wanted


@BOTH
def test_pages(geo, name):
    wanted = sorted(((row["name"].encode(), i) for i, row in enumerate(ROWS)), reverse=True)
    found = geo[name].find().sort([("name", DESCENDING), ("_id", DESCENDING)]).skip(500).limit(50)
    assert [city["_id"] for city in found] == [i for _, i in wanted[500:550]]


def test_distinct(geo):
    assert sorted(geo.by_country.distinct("country")) == sorted({row["country"] for row in ROWS})


def test_explain_names_one_shard(geo):
    for i in range(4):
        plan = geo.cities.find({"_id": i}).explain()["queryPlanner"]["winningPlan"]
        assert plan["stage"] == "SINGLE_SHARD" and len(plan["shards"]) == 1
    plan = geo.by_country.find({"country": "FR", "name": "Paris"}).explain()["queryPlanner"]["winningPlan"]
    assert plan["stage"] == "SINGLE_SHARD" and len(plan["shards"]) == 1


def test_a_killed_cursor(geo):
    cursor = geo.cities.find(batch_size=10)
    next(cursor)
    geo.command("killCursors", "cities", cursors=[cursor.cursor_id])
    with pytest.raises(CursorNotFound):
        list(cursor)


def test_every_type_comes_back(collection):
    document = {
        "_id": ObjectId(),
        "double": 1.5,
        "text": "naïve ☃",
        "document": {"a": {"b": []}},
        "list": [1, "two", None, [3]],
        "binary": Binary(b"\x00\x01", 128),
        "true": True,
        "date": datetime.datetime(2020, 1, 2, 3, 4, 5, 678000),
        "null": None,
        "regex": Regex("^a", "i"),
        "code": Code("x"),
        "int": 2**31 - 1,
        "long": Int64(2**62),
        "timestamp": Timestamp(1, 2),
        "decimal": Decimal128(Decimal("1.10")),
        "min": MinKey(),
        "max": MaxKey(),
    }
    collection.insert_one(document)
    found = collection.find_one({"_id": document["_id"]})
    assert found == document
    assert list(found) == list(document)


def test_crud(collection):
    collection.insert_many([{"_id": i, "n": i % 10} for i in range(1000)])
    with pytest.raises(DuplicateKeyError) as caught:
        collection.insert_one({"_id": 5})
    assert caught.value.details["keyValue"] == {"_id": 5}
    assert collection.update_one({"_id": 1}, {"$inc": {"n": 5}}).modified_count == 1
    assert collection.update_many({"n": 3}, {"$set": {"three": True}}).modified_count == 100
    assert collection.update_many({"n": 3}, {"$set": {"three": True}}).modified_count == 0
    result = collection.update_one({"_id": "new"}, {"$set": {"n": 0}}, upsert=True)
    assert result.upserted_id == "new"
    after = collection.find_one_and_update({"_id": 1}, {"$mul": {"n": 2}}, return_document=ReturnDocument.AFTER)
    assert after == {"_id": 1, "n": 12}
    before = collection.find_one_and_replace({"_id": 1}, {"n": -1})
    assert before == {"_id": 1, "n": 12}
    assert collection.find_one_and_delete({"n": -1}) == {"_id": 1, "n": -1}
    assert collection.delete_many({"n": 4}).deleted_count == 100
    assert collection.delete_one({"n": 5}).deleted_count == 1
    assert collection.count_documents({}) == 1000 - 1 - 100 - 1 + 1


def test_array_updates(collection):
    collection.insert_one({"_id": 1, "list": [{"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 3}]})
    collection.update_one({"_id": 1, "list.a": 2}, {"$set": {"list.$.b": 20}})
    collection.update_one({"_id": 1}, {"$inc": {"list.$[big].b": 100}}, array_filters=[{"big.a": {"$gte": 3}}])
    collection.update_one({"_id": 1}, {"$push": {"list": {"$each": [{"a": 0, "b": 0}], "$position": 0, "$slice": 3}}})
    assert collection.find_one()["list"] == [{"a": 0, "b": 0}, {"a": 1, "b": 1}, {"a": 2, "b": 20}]
    collection.update_one({"_id": 1}, {"$pull": {"list": {"a": {"$lt": 2}}}})
    collection.update_one({"_id": 1}, {"$addToSet": {"tags": {"$each": ["x", "y", "x"]}}})
    assert collection.find_one() == {"_id": 1, "list": [{"a": 2, "b": 20}], "tags": ["x", "y"]}


def test_bulk_writes(collection):
    collection.insert_many([{"_id": i} for i in range(10)])
    result = collection.bulk_write(
        [
            InsertOne({"_id": 10}),
            UpdateOne({"_id": 1}, {"$set": {"a": 1}}),
            UpdateMany({"_id": {"$gte": 5}}, {"$set": {"b": 1}}),
            UpdateOne({"_id": 99}, {"$set": {"c": 1}}, upsert=True),
            DeleteOne({"_id": 0}),
        ]
    )
    counts = (result.inserted_count, result.modified_count, result.upserted_count, result.deleted_count)
    assert counts == (1, 7, 1, 1)
    with pytest.raises(BulkWriteError) as caught:
        collection.insert_many([{"_id": 20}, {"_id": 1}, {"_id": 21}, {"_id": 2}], ordered=False)
    assert [error["index"] for error in caught.value.details["writeErrors"]] == [1, 3]
    assert caught.value.details["nInserted"] == 2
    with pytest.raises(BulkWriteError) as caught:
        collection.insert_many([{"_id": 30}, {"_id": 1}, {"_id": 31}])
    assert caught.value.details["writeErrors"][0]["index"] == 1
    assert collection.find_one({"_id": 31}) is None


def test_indexes(collection):
    collection.insert_many([{"_id": i, "a": i % 7, "b": i % 3} for i in range(100)])
    assert collection.create_index([("a", ASCENDING), ("b", DESCENDING)]) == "a_1_b_-1"
    assert collection.index_information()["a_1_b_-1"]["key"] == [("a", 1), ("b", -1)]
    plan = str(collection.find({"a": 3}).explain())
    assert "IXSCAN" in plan and "a_1_b_-1" in plan
    assert collection.count_documents({"a": 3, "b": 1}) == sum(1 for i in range(100) if i % 7 == 3 and i % 3 == 1)
    collection.drop_index("a_1_b_-1")
    assert "a_1_b_-1" not in collection.index_information()


def test_unacknowledged_writes(collection):
    quiet = collection.with_options(write_concern=WriteConcern(w=0))
    assert not quiet.insert_one({"_id": 1}).acknowledged
    # A later question on another connection may overtake it.
    for _ in range(1000):
        if collection.count_documents({"_id": 1}):
            break
    assert collection.count_documents({"_id": 1}) == 1


def test_sessions(client, collection):
    with client.start_session(causal_consistency=True) as session:
        collection.insert_one({"_id": 1}, session=session)
        assert collection.find_one({"_id": 1}, session=session)
        assert session.operation_time is not None
        assert session.cluster_time is not None


def test_errors_have_codes(collection):
    collection.insert_one({})
    for run, code in [
        (lambda: list(collection.find({"a": {"$nope": 1}})), 2),
        (lambda: list(collection.aggregate([{"$nope": 1}])), 40324),
        (lambda: collection.database.command("noSuchCommand"), 59),
        (lambda: collection.update_one({}, {"$nope": {"a": 1}}), 9),
        (lambda: collection.drop_index("no_such_index"), 27),
    ]:
        with pytest.raises(OperationFailure) as caught:
            run()
        assert caught.value.code == code


def test_listings(client, collection):
    collection.insert_one({})
    assert collection.name in collection.database.list_collection_names()
    assert "python_play" in client.list_database_names()
    info = next(collection.database.list_collections(filter={"name": collection.name}))
    assert info["type"] == "collection"
    collection.drop()
    assert collection.name not in collection.database.list_collection_names()
