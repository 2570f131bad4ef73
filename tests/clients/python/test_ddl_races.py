"""Definitions change through one router while another one, whose routes are stale then, writes.

Nothing that was acknowledged is lost or doubled, and no document lies where it does not belong. Needs a second router:
SHOAL_URI_2; shards are read directly at the addresses that config.shards names.
"""

import os
import threading
import time

import pytest
from pymongo import InsertOne, MongoClient, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

URI = os.environ.get("SHOAL_URI", "mongodb://127.0.0.1:27017")
URI_2 = os.environ.get("SHOAL_URI_2")
DB = "races"
SECONDS = float(os.environ.get("SHOAL_SECONDS", "5"))

pytestmark = pytest.mark.skipif(not URI_2, reason="SHOAL_URI_2 names no second router")
first = MongoClient(URI)
second = MongoClient(URI_2 or URI)


def shards():
    for shard in first.config.shards.find():
        yield shard["_id"], MongoClient("mongodb://%s/?directConnection=true" % shard["host"].split("/")[1])


def check_placement(ns):
    """Every document of every shard once, and where the router looks for it by its shard key."""
    db, name = ns.split(".")
    meta = first.config.collections.find_one({"_id": ns})
    seen = {}
    for shard, client in shards():
        for doc in client[db][name].find():
            assert doc["_id"] not in seen, f"{doc} is on {seen[doc['_id']]} and on {shard}"
            seen[doc["_id"]] = shard
            query = {"_id": doc["_id"], **{path: doc.get(path) for path in (meta or {}).get("key", {})}}
            for router in (first, second):
                assert router[db][name].find_one(query) == doc, f"{doc} on {shard} is not found by {query}"
    home = first.config.databases.find_one({"_id": db})
    if not meta and home:
        assert set(seen.values()) <= {home["primary"]}
    if meta:
        assert set(seen.values()) <= {chunk["shard"] for chunk in first.config.chunks.find({"uuid": meta["uuid"]})}
        for shard, client in shards():
            for info in client[db].list_collections(filter={"name": name}):
                assert info["info"]["uuid"] == meta["uuid"], f"{shard} has another {ns}"
    for router in (first, second):
        assert router[db][name].count_documents({}) == len(seen)
    return seen


class Writers:
    """Threads that write through both routers until they are told to stop, and remember what was acknowledged."""

    def __init__(self, write, count=4):
        self.stop, self.errors, self.acknowledged = False, [], []
        self.threads = [threading.Thread(target=self.run, args=(write, at)) for at in range(count)]

    def run(self, write, at):
        number = 0
        while not self.stop:
            number += 1
            try:
                started = time.monotonic()
                done = write([first, second][at % 2], f"{at}-{number}", number)
                self.acknowledged.extend((place, started) for place in done)
                took = time.monotonic() - started
                assert took < 20, f"a write took {took:.1f} s"
            except (OperationFailure, BulkWriteError, AutoReconnect, AssertionError) as error:
                self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a writer hangs"


def insert_into(name):
    def write(client, place, number):
        client[DB][name].insert_many([{"_id": f"{place}-{at}", "k": number * 7 + at, "n": 0} for at in range(3)])
        return [f"{place}-{at}" for at in range(3)]

    return write


def shard(name, key):
    """Shards a collection into which others write; whether it was empty then, and lies on all shards."""
    try:
        first.admin.command("shardCollection", f"{DB}.{name}", key=key)
        return True
    except OperationFailure as error:
        # There are documents already, but no index of the key.
        assert error.code == 72, error
    first[DB][name].create_index(list(key.items()))
    first.admin.command("shardCollection", f"{DB}.{name}", key=key)
    return False


@pytest.fixture(autouse=True)
def fresh():
    first.drop_database(DB)
    yield
    first.drop_database(DB)


@pytest.mark.parametrize("key", [{"k": "hashed"}, {"k": 1}, {"_id": "hashed"}])
def test_sharding_while_writing(key):
    first[DB]["c"].create_index(list(key.items()))
    with Writers(insert_into("c")) as writers:
        time.sleep(0.3)
        first.admin.command("shardCollection", f"{DB}.c", key=key)
        time.sleep(0.5)
    assert not writers.errors, writers.errors[:3]
    assert set(check_placement(f"{DB}.c")) == {place for place, _ in writers.acknowledged}


def test_sharding_an_empty_collection_while_writing():
    for at in range(4):
        name = f"e{at}"
        with Writers(insert_into(name)) as writers:
            shard(name, {"_id": "hashed"})
            time.sleep(0.3)
        assert not writers.errors, writers.errors[:3]
        seen = check_placement(f"{DB}.{name}")
        assert set(seen) == {place for place, _ in writers.acknowledged}


def test_single_updates_while_sharding():
    """An update of one document stays one, although the collection comes to be on several shards meanwhile."""
    for at in range(4):
        name = f"u{at}"

        def write(client, place, number):
            collection = client[DB][name]
            assert collection.update_one({"_id": place}, {"$set": {"x": 1, "n": 0}}, upsert=True).upserted_id == place
            result = collection.update_one({"x": 1}, {"$inc": {"n": 1}})
            assert (result.matched_count, result.modified_count) == (1, 1), result.raw_result
            result = collection.bulk_write([InsertOne({"_id": place + "b", "n": 0}), UpdateOne({"_id": place + "b"}, {"$inc": {"n": 10}})])
            assert (result.inserted_count, result.matched_count) == (1, 1)
            return [place]

        with Writers(write) as writers:
            shard(name, {"_id": "hashed"})
            time.sleep(0.5)
        assert not writers.errors, writers.errors[:3]
        check_placement(f"{DB}.{name}")
        total = sum(doc["n"] for doc in first[DB][name].find())
        assert total == 11 * len(writers.acknowledged)


def test_dropping_and_making_again():
    """What is acknowledged after the last drop is there; nothing from before it is."""
    with Writers(insert_into("d")) as writers:
        until = time.monotonic() + SECONDS
        rounds = spread = 0
        while time.monotonic() < until:
            rounds += 1
            first[DB].drop_collection("d")
            before = time.monotonic()
            if rounds % 3:
                spread += shard("d", {"k": "hashed"} if rounds % 3 == 1 else {"_id": "hashed"})
            time.sleep(0.05)
        dropped = before
        time.sleep(0.2)
    assert not writers.errors, writers.errors[:3]
    seen = check_placement(f"{DB}.d")
    assert {place for place, started in writers.acknowledged if started > dropped} <= set(seen)


def test_dropping_the_database():
    with Writers(insert_into("x")) as writers:
        until = time.monotonic() + SECONDS
        rounds = 0
        names = [name for name, _ in shards()]
        while time.monotonic() < until:
            rounds += 1
            first.drop_database(DB)
            try:
                first.admin.command("enableSharding", DB, primaryShard=names[rounds % len(names)])
            except OperationFailure as error:
                # A writer was quicker and made it elsewhere.
                assert "primary" in str(error).lower() or error.code in (20, 48, 70, 23), error
            before = time.monotonic()
            if rounds % 2:
                try:
                    second.admin.command("shardCollection", f"{DB}.x", key={"_id": "hashed"})
                except OperationFailure as error:
                    assert error.code in (20, 72), error
            time.sleep(0.1)
        time.sleep(0.2)
    # A write may meet the database between its drop and its making; that it is told then is all that is asked.
    unexpected = [error for error in writers.errors if getattr(error, "code", None) not in (26, 117, 215, 249, 13388)]
    assert not unexpected, unexpected[:3]
    seen = check_placement(f"{DB}.x")
    assert {place for place, started in writers.acknowledged if started > before} <= set(seen)


def test_making_a_database_twice_at_once():
    for at in range(6):
        db = f"{DB}{at}"
        first.drop_database(db)
        done = []
        barrier = threading.Barrier(4)

        def make(client, number):
            barrier.wait()
            client[db]["c"].insert_one({"_id": number})
            done.append(number)

        threads = [threading.Thread(target=make, args=([first, second][number % 2], number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(done) == 4
        assert len(list(first.config.databases.find({"_id": db}))) == 1
        assert set(check_placement(f"{db}.c")) == {0, 1, 2, 3}
        first.drop_database(db)


def test_indexes_while_writing():
    """A unique index that is built under writes has every document, and keeps its promise."""
    first.admin.command("shardCollection", f"{DB}.i", key={"k": "hashed"})

    def write(client, place, number):
        client[DB]["i"].insert_one({"_id": place, "k": place, "v": number % 50})
        return [place]

    with Writers(write) as writers:
        for at in range(5):
            time.sleep(0.1)
            first[DB]["i"].create_index([("v", 1), (f"w{at}", 1)])
        second[DB]["i"].drop_index([("v", 1), ("w0", 1)])
    assert not writers.errors, writers.errors[:3]
    seen = check_placement(f"{DB}.i")
    assert set(seen) == {place for place, _ in writers.acknowledged}
    for at in range(1, 5):
        count = sum(len(list(first[DB]["i"].find({"v": value}).hint([("v", 1), (f"w{at}", 1)]))) for value in range(50))
        assert count == len(seen)
    for _, client in shards():
        report = client[DB].command("validate", "i")
        assert report["valid"], report
