"""Random commands against a model in Python: every answer and, at the end, every document must be what the model says.

Runs on collections of every kind of sharding and on one that is not sharded. A failure prints the seed and the step;
SHOAL_SEED replays it, SHOAL_SECONDS sets how long one kind is tried.
"""

import copy
import os
import random
import time

import bson
import pytest
from pymongo import DeleteOne, InsertOne, MongoClient, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError

URI = os.environ.get("SHOAL_URI", "mongodb://127.0.0.1:27017")
SECONDS = float(os.environ.get("SHOAL_SECONDS", "5"))
SEED = int(os.environ.get("SHOAL_SEED", "0")) or random.randrange(1 << 30)

KINDS = {
    "unsharded": None,
    "hashed_id": {"_id": "hashed"},
    "ranged_id": {"_id": 1},
    "hashed": {"k": "hashed"},
    "ranged": {"k": 1},
    "compound": {"g": 1, "k": 1},
    "compound_hashed": {"g": 1, "k": "hashed"},
    "nested": {"n.k": 1},
}
GROUPS = ["a", "b", "c", None]


class Missing:
    def __repr__(self):
        return "missing"


MISSING = Missing()


def rank(value):
    """BSON's order of the few types that the documents use; numbers of all types are one kind."""
    if value is MISSING or value is None:
        return (1, 0)
    if isinstance(value, bool):
        return (8, value)
    if isinstance(value, (int, float)):
        return (2, value)
    if isinstance(value, str):
        return (3, value.encode())
    if isinstance(value, bson.ObjectId):
        return (7, value.binary)
    raise TypeError(value)


def get(doc, path):
    for part in path.split("."):
        if not isinstance(doc, dict) or part not in doc:
            return MISSING
        doc = doc[part]
    return doc


def matches(doc, query):
    for path, wanted in query.items():
        if path == "$or":
            if not any(matches(doc, branch) for branch in wanted):
                return False
            continue
        value = get(doc, path)
        if not isinstance(wanted, dict):
            wanted = {"$eq": wanted}
        for name, operand in wanted.items():
            if name == "$in":
                if not any(rank(value) == rank(one) for one in operand):
                    return False
                continue
            if name == "$exists":
                if (value is not MISSING) != operand:
                    return False
                continue
            mine, other = rank(value), rank(operand)
            if name == "$eq":
                good = mine == other
            elif name == "$ne":
                good = mine != other
            else:
                good = mine[0] == other[0] and {
                    "$gt": mine > other,
                    "$gte": mine >= other,
                    "$lt": mine < other,
                    "$lte": mine <= other,
                }[name]
            if not good:
                return False
    return True


class Run:
    def __init__(self, collection, kind, seed):
        self.coll = collection
        self.kind = kind
        self.key = list((KINDS[kind] or {}).keys())
        self.rng = random.Random(f"{seed}-{kind}")
        self.docs = {}
        self.next_id = 0
        self.log = []

    # What is drawn.

    def number(self):
        value = self.rng.randrange(-20, 20)
        return self.rng.choice([value, float(value), bson.Int64(value)])

    def new_doc(self):
        self.next_id += 1
        doc = {"_id": self.next_id, "k": self.number(), "g": self.rng.choice(GROUPS)}
        doc["n"] = {"k": self.rng.randrange(10), "t": self.rng.choice("xyz")}
        doc["v"] = self.rng.randrange(100)
        for name in ("k", "g"):
            if self.rng.random() < 0.1:
                del doc[name]
        if self.rng.random() < 0.2:
            doc["s"] = "s" * self.rng.randrange(200)
        return doc

    def condition(self, path):
        value = {"k": self.number, "g": lambda: self.rng.choice(GROUPS), "n.k": lambda: self.rng.randrange(10),
                 "v": lambda: self.rng.randrange(100), "_id": lambda: self.rng.randrange(1, self.next_id + 3)}[path]
        pick = self.rng.random()
        if pick < 0.45:
            return value()
        if pick < 0.55:
            return {"$in": [value() for _ in range(self.rng.randrange(1, 5))]}
        if pick < 0.6:
            return {"$ne": value()}
        if pick < 0.65:
            return {"$exists": self.rng.random() < 0.5}
        low, high = self.rng.choice(["$gt", "$gte"]), self.rng.choice(["$lt", "$lte"])
        if path == "g":
            return {low: "a", high: "b"}
        if pick < 0.8:
            return {low: value()}
        return {low: value(), high: value()}

    def query(self):
        paths = self.rng.sample(["k", "g", "n.k", "v", "_id"], self.rng.choice([0, 1, 1, 1, 2, 2, 3]))
        query = {path: self.condition(path) for path in paths}
        if self.rng.random() < 0.1:
            query["$or"] = [{"k": self.condition("k")}, {"g": self.condition("g")}]
        return query

    def found(self, query):
        return [doc for doc in self.docs.values() if matches(doc, query)]

    def sort(self):
        names = self.rng.sample(["k", "g", "v", "n.k"], self.rng.randrange(0, 3))
        return [(name, self.rng.choice([1, -1])) for name in names] + [("_id", self.rng.choice([1, -1]))]

    def sorted(self, docs, sort):
        for name, direction in reversed(sort):
            docs = sorted(docs, key=lambda doc: rank(get(doc, name)), reverse=direction < 0)
        return docs

    def change(self):
        """An update that leaves every shard key as it is, and the same in Python."""
        pick = self.rng.randrange(4)
        if pick == 0:
            by = self.rng.randrange(1, 5)
            return {"$inc": {"v": by}}, lambda doc: doc.update(v=doc["v"] + by)
        if pick == 1:
            value = self.rng.randrange(100)
            return {"$set": {"v": value}}, lambda doc: doc.update(v=value)
        if pick == 2:
            text = "t" * self.rng.randrange(50)
            return {"$set": {"n.t": text}}, lambda doc: doc["n"].update(t=text)
        return {"$unset": {"s": ""}}, lambda doc: doc.pop("s", None)

    # What is done.

    def note(self, *what):
        self.log.append(what)

    def read(self):
        query, sort = self.query(), self.sort()
        skip, limit = self.rng.choice([0, 0, 1, 3, 10]), self.rng.choice([0, 0, 1, 2, 5, 20])
        batch = self.rng.choice([0, 0, 1, 2, 3, 7])
        self.note("find", query, sort, skip, limit, batch)
        expected = self.sorted(self.found(query), sort)[skip:][: limit or None]
        projection = self.rng.choice([None, {"v": 1}, {"_id": 0, "n.t": 1}, {"k": 0, "g": 0}])
        cursor = self.coll.find(query, projection, sort=sort, skip=skip, limit=limit, batch_size=batch)
        answer = list(cursor)
        if projection == {"v": 1}:
            expected = [{"_id": doc["_id"], "v": doc["v"]} for doc in expected]
        elif projection == {"_id": 0, "n.t": 1}:
            expected = [{"n": {"t": doc["n"]["t"]}} for doc in expected]
        elif projection == {"k": 0, "g": 0}:
            expected = [{name: doc[name] for name in doc if name not in ("k", "g")} for doc in expected]
        assert answer == expected

    def read_unsorted(self):
        query, batch = self.query(), self.rng.choice([0, 1, 2, 7])
        skip, limit = self.rng.choice([0, 0, 2]), self.rng.choice([0, 0, 1, 5])
        self.note("find unsorted", query, skip, limit, batch)
        ids = [doc["_id"] for doc in self.coll.find(query, batch_size=batch, skip=skip, limit=limit)]
        expected = {doc["_id"] for doc in self.found(query)}
        assert len(set(ids)) == len(ids)
        assert set(ids) <= expected
        assert len(ids) == min(max(len(expected) - skip, 0), limit or len(expected))

    def count(self):
        query, skip, limit = self.query(), self.rng.choice([0, 0, 2]), self.rng.choice([0, 0, 1, 5])
        self.note("count", query, skip, limit)
        expected = len(self.found(query)[skip:][: limit or None])
        options = {name: value for name, value in (("skip", skip), ("limit", limit)) if value}
        assert self.coll.count_documents(query, **options) == expected
        command = {"count": self.coll.name, "query": query, **options}
        assert self.coll.database.command(command)["n"] == expected

    def distinct(self):
        query, path = self.query(), self.rng.choice(["k", "g", "v", "n.t"])
        self.note("distinct", path, query)
        answer = self.coll.distinct(path, query)
        expected = {rank(get(doc, path)) for doc in self.found(query) if get(doc, path) is not MISSING}
        assert sorted(rank(value) for value in answer) == sorted(expected)

    def aggregate(self):
        query, sort = self.query(), self.sort()
        found = self.found(query)
        skip, limit = self.rng.randrange(4), self.rng.randrange(1, 8)
        pick = self.rng.randrange(3)
        self.note("aggregate", pick, query, sort, skip, limit)
        if pick == 0:
            pipeline = [{"$match": query}, {"$group": {"_id": "$g", "sum": {"$sum": "$v"}, "n": {"$sum": 1},
                        "max": {"$max": "$k"}, "avg": {"$avg": "$v"}}}]
            answer = {rank(doc["_id"]): doc for doc in self.coll.aggregate(pipeline)}
            groups = {}
            for doc in found:
                groups.setdefault(rank(get(doc, "g")), []).append(doc)
            assert set(answer) == set(groups)
            for name, docs in groups.items():
                assert answer[name]["n"] == len(docs)
                assert answer[name]["sum"] == sum(doc["v"] for doc in docs)
                assert abs(answer[name]["avg"] - sum(doc["v"] for doc in docs) / len(docs)) < 1e-9
                keys = [doc["k"] for doc in docs if "k" in doc]
                assert answer[name]["max"] == (max(keys) if keys else None)
        elif pick == 1:
            # The field that decides the order is dropped before the order is used up.
            pipeline = [{"$match": query}, {"$sort": dict(sort)}, {"$project": {"_id": 1}}, {"$skip": skip},
                        {"$limit": limit}]
            expected = [doc["_id"] for doc in self.sorted(found, sort)][skip:][:limit]
            batch = self.rng.choice([0, 1, 3])
            options = {"batchSize": batch} if batch else {}
            assert [doc["_id"] for doc in self.coll.aggregate(pipeline, **options)] == expected
        else:
            pipeline = [{"$match": query}, {"$sort": dict(sort)}, {"$limit": limit},
                        {"$group": {"_id": None, "ids": {"$push": "$_id"}}}]
            expected = [doc["_id"] for doc in self.sorted(found, sort)][:limit]
            answer = list(self.coll.aggregate(pipeline))
            assert answer == ([{"_id": None, "ids": expected}] if expected else [])

    def insert(self):
        docs = [self.new_doc() for _ in range(self.rng.choice([1, 1, 2, 10]))]
        self.note("insert", docs)
        assert self.coll.insert_many(docs, ordered=self.rng.random() < 0.5).inserted_ids == [doc["_id"] for doc in docs]
        self.docs.update((doc["_id"], doc) for doc in copy.deepcopy(docs))

    def whole(self, doc):
        """A filter that names one document and the whole shard key."""
        query = {"_id": doc["_id"]}
        for path in self.key:
            value = get(doc, path)
            query[path] = None if value is MISSING else value
        return query

    def update_one(self):
        query, sort, (update, apply) = self.query(), self.sort(), self.change()
        docs = self.found(query)
        if self.rng.random() < 0.3 and self.docs:
            query = self.whole(self.rng.choice(list(self.docs.values())))
            docs = self.found(query)
        self.note("updateOne", query, update, sort)
        before = {doc["_id"]: copy.deepcopy(doc) for doc in docs}
        if self.rng.random() < 0.4:
            which = self.rng.random() < 0.5
            answer = self.coll.find_one_and_update(query, update, sort=sort, return_document=which)
            expected = self.sorted(docs, sort)[:1]
            assert (answer is None) == (not expected)
            if expected:
                old = copy.deepcopy(expected[0])
                apply(expected[0])
                assert answer == (expected[0] if which else old)
            return
        result = self.coll.update_one(query, update)
        assert result.matched_count == min(1, len(docs))
        if docs:
            # Any match may have been taken: exactly one is as the update leaves it.
            now = {doc["_id"]: doc for doc in self.coll.find({"_id": {"$in": list(before)}})}
            changed = [place for place in before if now[place] != before[place]]
            assert len(changed) == result.modified_count <= 1
            for place in changed:
                apply(self.docs[place])
                assert now[place] == self.docs[place]
            if not changed:
                assert any(self.changes_nothing(doc, apply) for doc in docs)

    @staticmethod
    def changes_nothing(doc, apply):
        after = copy.deepcopy(doc)
        apply(after)
        return after == doc

    def update_many(self):
        query, (update, apply) = self.query(), self.change()
        docs = self.found(query)
        self.note("updateMany", query, update)
        changed = sum(not self.changes_nothing(doc, apply) for doc in docs)
        result = self.coll.update_many(query, update)
        assert (result.matched_count, result.modified_count) == (len(docs), changed)
        for doc in docs:
            apply(doc)

    def delete(self):
        query = self.query()
        docs = self.found(query)
        self.note("delete", query)
        if len(docs) < 5 and self.rng.random() < 0.3:
            assert self.coll.delete_many(query).deleted_count == len(docs)
            for doc in docs:
                del self.docs[doc["_id"]]
            return
        if self.rng.random() < 0.5:
            sort = self.sort()
            answer = self.coll.find_one_and_delete(query, sort=sort)
            assert answer == (self.sorted(docs, sort)[0] if docs else None)
            if docs:
                del self.docs[answer["_id"]]
            return
        assert self.coll.delete_one(query).deleted_count == min(1, len(docs))
        left = {doc["_id"] for doc in self.coll.find({"_id": {"$in": [doc["_id"] for doc in docs]}}, {"_id": 1})}
        gone = [doc["_id"] for doc in docs if doc["_id"] not in left]
        assert len(gone) == min(1, len(docs))
        for place in gone:
            del self.docs[place]

    def replace(self):
        if not self.docs:
            return
        old = self.rng.choice(list(self.docs.values()))
        new = self.new_doc()
        self.next_id -= 1
        new["_id"] = old["_id"]
        for path in {path.split(".")[0] for path in self.key}:
            new.pop(path, None)
            if path in old:
                new[path] = copy.deepcopy(old[path])
        query = self.whole(old) if self.rng.random() < 0.5 else {"_id": old["_id"]}
        self.note("replaceOne", query, new)
        assert self.coll.replace_one(query, new).matched_count == 1
        self.docs[old["_id"]] = {"_id": old["_id"], **{name: new[name] for name in new if name != "_id"}}

    def upsert(self):
        doc = self.new_doc()
        pick = self.rng.randrange(3)
        self.note("upsert", pick, doc)
        if pick == 0:
            # The whole key in the filter.
            query = {"_id": doc["_id"], **{path: get(doc, path) for path in self.key if get(doc, path) is not MISSING}}
            rest = {name: doc[name] for name in doc if name != "_id" and name not in self.key and
                    not any(path.startswith(name + ".") for path in self.key)}
            if any(get(doc, path) is MISSING for path in self.key):
                return
            if self.kind == "nested":
                rest["n.t"] = doc["n"]["t"]
            result = self.coll.update_one(query, {"$set": rest}, upsert=True)
        elif pick == 1:
            # The key in the update only.
            rest = {name: doc[name] for name in doc if name != "_id"}
            result = self.coll.update_one({"_id": doc["_id"]}, {"$set": rest}, upsert=True)
        else:
            result = self.coll.replace_one({"_id": doc["_id"]}, {name: doc[name] for name in doc if name != "_id"}, upsert=True)
        assert (result.matched_count, result.upserted_id) == (0, doc["_id"])
        self.docs[doc["_id"]] = doc

    def bulk(self):
        """A bulk with a duplicate in the middle: ordered stops there, unordered does the rest; positions are the client's."""
        ordered = self.rng.random() < 0.5
        operations, applies, errors = [], [], []
        docs = copy.deepcopy(self.docs)
        stopped = False
        for index in range(self.rng.randrange(1, 12)):
            pick = self.rng.randrange(5)
            if pick == 0 and self.docs:
                # A duplicate with the same shard key, so that it meets the first one.
                old = self.rng.choice(list(self.docs.values()))
                if old["_id"] not in docs:
                    continue
                at = len(operations)
                operations.append(InsertOne(copy.deepcopy(old)))
                if not stopped:
                    errors.append(at)
                    stopped = ordered
            elif pick == 1 and docs:
                place = self.rng.choice(list(docs))
                query = {"_id": place} if self.rng.random() < 0.5 else self.whole(docs[place])
                update, apply = self.change()
                operations.append(UpdateOne(query, update))
                if not stopped:
                    apply(docs[place])
            elif pick == 2 and docs and ordered:
                place = self.rng.choice(list(docs))
                operations.append(DeleteOne({"_id": place} if self.rng.random() < 0.5 else self.whole(docs[place])))
                if not stopped:
                    del docs[place]
            elif pick == 3 and ordered:
                low = self.rng.randrange(100)
                operations.append(UpdateMany({"v": {"$gt": low}}, {"$inc": {"v": 1}}))
                if not stopped:
                    for doc in docs.values():
                        if doc["v"] > low:
                            doc["v"] += 1
            else:
                doc = self.new_doc()
                operations.append(InsertOne(copy.deepcopy(doc)))
                if not stopped:
                    docs[doc["_id"]] = doc
        if not operations:
            return
        self.note("bulk", ordered, operations)
        try:
            self.coll.bulk_write(operations, ordered=ordered)
            failed = []
        except BulkWriteError as error:
            failed = sorted(one["index"] for one in error.details["writeErrors"])
            assert all(one["code"] == 11000 for one in error.details["writeErrors"]), error.details
        assert failed == errors
        self.docs = docs

    def refused(self):
        """What must not be done is refused and changes nothing."""
        if not self.docs:
            return
        doc = self.rng.choice(list(self.docs.values()))
        self.note("refused", doc["_id"])
        with pytest.raises(DuplicateKeyError):
            self.coll.insert_one(copy.deepcopy(doc))
        with pytest.raises(WriteError):
            self.coll.update_one(self.whole(doc), {"$set": {"_id": -1}})
        if self.key and self.key[0] in ("k", "g"):
            with pytest.raises(WriteError):
                self.coll.update_one(self.whole(doc), {"$set": {self.key[0]: [1, 2]}})
            with pytest.raises(WriteError):
                self.coll.insert_one({"_id": -2, self.key[0]: [1, 2]})

    def everything(self):
        self.note("everything")
        answer = {doc["_id"]: doc for doc in self.coll.find(batch_size=self.rng.choice([0, 5]))}
        assert answer == self.docs
        assert self.coll.estimated_document_count() == len(self.docs)

    STEPS = [(read, 6), (read_unsorted, 2), (count, 2), (distinct, 1), (aggregate, 3), (insert, 6), (update_one, 4),
             (update_many, 1), (delete, 4), (replace, 2), (upsert, 3), (bulk, 3), (refused, 1), (everything, 1)]

    def run(self, seconds):
        until = time.monotonic() + seconds
        steps = 0
        while time.monotonic() < until:
            step = self.rng.choices([step for step, _ in self.STEPS], [weight for _, weight in self.STEPS])[0]
            step(self)
            steps += 1
            if len(self.docs) > 300:
                self.coll.delete_many({"v": {"$gte": 30}})
                self.docs = {place: doc for place, doc in self.docs.items() if doc["v"] < 30}
        self.everything()
        return steps


@pytest.mark.parametrize("kind", KINDS)
def test_model(kind):
    client = MongoClient(URI)
    database = client["model"]
    database.drop_collection(kind)
    if KINDS[kind]:
        client.admin.command("shardCollection", f"model.{kind}", key=KINDS[kind])
        # Ranges over both shards. Without moving chunks that is only so for hashed keys; splits make many chunks at least.
        middles = {"ranged_id": [{"_id": 50}, {"_id": 100}], "ranged": [{"k": -5}, {"k": 0}, {"k": 7}],
                   "compound": [{"g": "a", "k": 0}, {"g": "b", "k": 5}], "nested": [{"n.k": 3}, {"n.k": 6}]}
        for middle in middles.get(kind, []):
            client.admin.command("split", f"model.{kind}", middle=middle)
    run = Run(database[kind], kind, SEED)
    if run.rng.random() < 0.5:
        database[kind].create_index([("v", 1)])
        database[kind].create_index([("g", 1), ("v", -1)])
    try:
        steps = run.run(SECONDS)
    except BaseException:
        print(f"SHOAL_SEED={SEED}, kind {kind}, step {len(run.log)}: {run.log[-1:]}")
        raise
    print(f"{kind}: {steps} steps, {len(run.docs)} documents, seed {SEED}")
