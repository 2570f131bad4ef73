"""Collations through the router and on shards, against a model in Python of what they are documented to say about ASCII words.

Every command runs on collections that are not sharded and on ones that are dealt over all shards, with and without an index of the
same collation, with the collation named by the command or by the collection. SHOAL_SEED replays a run.
"""

import functools
import os
import random
import re

import pytest
from pymongo import ASCENDING, DESCENDING, MongoClient
from pymongo.collation import Collation, CollationAlternate, CollationCaseFirst, CollationStrength
from pymongo.errors import DuplicateKeyError, OperationFailure

URI = os.environ.get("SHOAL_URI", "mongodb://127.0.0.1:27017")
SEED = int(os.environ.get("SHOAL_SEED", "0")) or random.randrange(1 << 30)
ROUNDS = int(os.environ.get("SHOAL_ROUNDS", "12"))

# The root order of ASCII: space, punctuation, symbols, digits, then letters whatever their case.
PUNCTUATION = " _-,;:!?.'\"()[]{}@*/\\&#%"


def primary(text):
    """What strength 1 looks at."""
    out = []
    for char in text:
        if char in PUNCTUATION:
            out.append((0, PUNCTUATION.index(char)))
        elif char.isdigit():
            out.append((1, ord(char)))
        else:
            out.append((2, ord(char.lower())))
    return tuple(out)


def case(text, upper_first=False):
    """What strength 3 adds: lower case comes first, letter by letter."""
    return tuple(char.isupper() != upper_first for char in text if char.isalpha())


def numeric(text):
    """Runs of digits by their value; digits stand between punctuation and letters as ever."""
    out = []
    for digits, other in re.findall(r"(\d+)|(\D)", text):
        out.append((1, int(digits)) if digits else primary(other)[0])
    return tuple(out)


def shifted(text):
    return "".join(char for char in text if char not in PUNCTUATION)


COLLATIONS = {
    "strength1": (Collation("en", strength=1), lambda text: primary(text)),
    "strength2": (Collation("en_US", strength=CollationStrength.SECONDARY), lambda text: primary(text)),
    "strength3": (Collation("de"), lambda text: (primary(text), case(text))),
    "upper": (
        Collation("en", caseFirst=CollationCaseFirst.UPPER),
        lambda text: (primary(text), case(text, upper_first=True)),
    ),
    "numeric": (Collation("fr", numericOrdering=True), lambda text: (numeric(text), case(text))),
    "shifted": (
        Collation("en", strength=2, alternate=CollationAlternate.SHIFTED),
        lambda text: primary(shifted(text)),
    ),
    "caseLevel": (Collation("en", strength=1, caseLevel=True), lambda text: (primary(text), case(text))),
}

KINDS = {"unsharded": None, "hashed": {"_id": "hashed"}, "ranged": {"s": 1}}
HOW = ["named", "default", "default_without_index", "named_without_index"]


@pytest.fixture(scope="module")
def client():
    with MongoClient(URI) as client:
        yield client
        client.drop_database("collated")


class Case:
    def __init__(self, client, name, kind, how):
        self.collation, self.key = COLLATIONS[name]
        self.rng = random.Random(f"{SEED}-{name}-{kind}-{how}")
        self.default = how.startswith("default")
        self.said = {} if self.default else {"collation": self.collation}
        self.raw = {} if self.default else {"collation": self.collation.document}
        db = client.collated
        self.coll = db[f"{name}_{kind}_{how}"]
        self.coll.drop()
        if self.default:
            db.create_collection(self.coll.name, collation=self.collation)
        ns = f"collated.{self.coll.name}"
        if KINDS[kind]:
            client.admin.command("shardCollection", ns, key=KINDS[kind], collation={"locale": "simple"})
            if kind == "ranged":
                client.admin.command("split", ns, middle={"s": "M"})
                split_over_shards(client, ns)
        if not how.endswith("without_index"):
            self.coll.create_index("t", collation=self.collation, name="t_collated")
            self.coll.create_index([("t", DESCENDING), ("n", ASCENDING)], name="tn", **self.said)
        self.docs = {}
        for number in range(60):
            self.docs[number] = self.doc(number)
        self.coll.insert_many(list(self.docs.values()))

    def word(self):
        length = self.rng.randrange(0, 4)
        return "".join(self.rng.choice("aAbB19- ") for _ in range(length))

    def doc(self, number):
        text = self.word()
        return {
            "_id": number,
            "s": text,
            "t": self.rng.choice([text, self.word(), number]),
            "n": self.rng.randrange(4),
            "d": {"t": self.word()},
            "l": [self.word() for _ in range(self.rng.randrange(3))],
        }

    def same(self, left, right):
        if isinstance(left, str) and isinstance(right, str):
            return self.key(left) == self.key(right)
        return type(left) is type(right) and left == right

    def select(self, matches):
        return {number for number, doc in self.docs.items() if matches(doc)}

    def found(self, query):
        return {doc["_id"] for doc in self.coll.find(query, **self.said)}

    def check_filter(self):
        word, other = self.word(), self.word()
        rank = self.key
        text = lambda doc: isinstance(doc["t"], str)
        cases = [
            ({"t": word}, lambda doc: self.same(doc["t"], word)),
            ({"s": word}, lambda doc: self.same(doc["s"], word)),
            ({"t": {"$ne": word}}, lambda doc: not self.same(doc["t"], word)),
            ({"t": {"$in": [word, other, 3]}}, lambda doc: any(self.same(doc["t"], one) for one in (word, other, 3))),
            ({"t": {"$nin": [word, other]}}, lambda doc: not any(self.same(doc["t"], one) for one in (word, other))),
            ({"t": {"$gt": word}}, lambda doc: text(doc) and rank(doc["t"]) > rank(word)),
            ({"t": {"$gte": word}}, lambda doc: text(doc) and rank(doc["t"]) >= rank(word)),
            ({"t": {"$lt": word}}, lambda doc: text(doc) and rank(doc["t"]) < rank(word)),
            ({"s": {"$lte": word}}, lambda doc: rank(doc["s"]) <= rank(word)),
            ({"d": {"t": word}}, lambda doc: self.same(doc["d"]["t"], word)),
            ({"d.t": word, "n": 1}, lambda doc: self.same(doc["d"]["t"], word) and doc["n"] == 1),
            ({"l": word}, lambda doc: any(self.same(one, word) for one in doc["l"])),
            (
                {"l": {"$elemMatch": {"$gte": word, "$lte": other}}},
                lambda doc: any(rank(word) <= rank(one) <= rank(other) for one in doc["l"]),
            ),
            ({"$expr": {"$eq": ["$s", "$d.t"]}}, lambda doc: self.same(doc["s"], doc["d"]["t"])),
            ({"$expr": {"$lt": ["$s", "$d.t"]}}, lambda doc: rank(doc["s"]) < rank(doc["d"]["t"])),
            ({"s": {"$regex": "^a"}}, lambda doc: doc["s"].startswith("a")),
        ]
        for query, matches in cases:
            wanted = self.select(matches)
            assert self.found(query) == wanted, query
            assert self.coll.count_documents(query, **self.said) == len(wanted), query

    def check_order(self):
        for field, direction in (("s", 1), ("s", -1)):
            found = list(self.coll.find(sort=[(field, direction)], batch_size=7, **self.said))
            keys = [self.key(doc[field]) for doc in found]
            assert keys == sorted(keys, reverse=direction < 0), [doc[field] for doc in found]
            assert {doc["_id"] for doc in found} == set(self.docs)
        texts = list(self.coll.find({"t": {"$type": "string"}}, sort=[("t", -1), ("n", 1)], **self.said))
        keys = [self.key(doc["t"]) for doc in texts]
        assert keys == sorted(keys, reverse=True)
        limited = list(self.coll.find(sort=[("s", 1)], skip=5, limit=9, **self.said))
        assert [self.key(doc["s"]) for doc in limited] == sorted(self.key(doc["s"]) for doc in self.docs.values())[5:14]

    def check_groups(self):
        counts = {}
        for doc in self.docs.values():
            counts[self.key(doc["s"])] = counts.get(self.key(doc["s"]), 0) + 1
        distinct = self.coll.distinct("s", **self.said)
        assert sorted(self.key(text) for text in distinct) == sorted(counts)
        pipeline = [{"$group": {"_id": "$s", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
        found = [(self.key(one["_id"]), one["n"]) for one in self.coll.aggregate(pipeline, **self.said)]
        assert found == sorted(counts.items())
        whole = [
            {
                "$group": {
                    "_id": None,
                    "least": {"$min": "$s"},
                    "most": {"$max": "$s"},
                    "set": {"$addToSet": "$s"},
                    "same": {"$sum": {"$cond": [{"$eq": ["$s", "$d.t"]}, 1, 0]}},
                }
            }
        ]
        (one,) = self.coll.aggregate(whole, **self.said)
        assert self.key(one["least"]) == min(counts) and self.key(one["most"]) == max(counts)
        assert sorted(map(self.key, one["set"])) == sorted(counts)
        assert one["same"] == len(self.select(lambda doc: self.same(doc["s"], doc["d"]["t"])))
        word = self.word()
        pipeline = [{"$match": {"s": word}}, {"$count": "n"}]
        wanted = len(self.select(lambda doc: self.same(doc["s"], word)))
        assert list(self.coll.aggregate(pipeline, **self.said)) == ([{"n": wanted}] if wanted else [])

    def check_writes(self):
        word = self.word()
        hit = self.select(lambda doc: self.same(doc["t"], word))
        done = self.coll.update_many({"t": word}, {"$inc": {"n": 1}}, **self.said)
        assert done.matched_count == len(hit)
        for number in hit:
            self.docs[number]["n"] += 1
        # One of those that match, whichever shard it is on.
        mark = self.rng.random()
        done = self.coll.update_one({"t": word}, {"$set": {"one": mark}}, **self.said)
        assert done.matched_count == min(len(hit), 1)
        for doc in self.coll.find({"one": mark}):
            assert doc["_id"] in hit
            self.docs[doc["_id"]]["one"] = mark
        found = self.coll.find_one_and_update({"t": word}, {"$inc": {"n": 5}}, sort=[("s", 1)], **self.said)
        assert (found is None) == (not hit)
        if found:
            least = min(self.key(self.docs[number]["s"]) for number in hit)
            assert self.key(found["s"]) == least
            self.docs[found["_id"]]["n"] += 5
        # Array operators.
        number = self.rng.choice(list(self.docs))
        doc = self.docs[number]
        added = self.word()
        self.coll.update_one({"_id": number}, {"$addToSet": {"l": added}}, **self.said)
        if not any(self.same(one, added) for one in doc["l"]):
            doc["l"].append(added)
        pulled = self.word()
        self.coll.update_one({"_id": number}, {"$pull": {"l": pulled}}, **self.said)
        doc["l"] = [one for one in doc["l"] if not self.same(one, pulled)]
        marked = self.word()
        self.coll.update_one(
            {"_id": number}, {"$set": {"l.$[e]": "new"}}, array_filters=[{"e": marked}], **self.said
        )
        doc["l"] = ["new" if self.same(one, marked) else one for one in doc["l"]]
        # An upsert matches what the collation calls equal.
        done = self.coll.update_one({"_id": number, "s": doc["s"].swapcase()}, {"$set": {"n": 9}}, **self.said)
        if self.same(doc["s"], doc["s"].swapcase()):
            assert done.matched_count == 1
            doc["n"] = 9
        else:
            assert done.matched_count == 0
        gone = self.word()
        hit = self.select(lambda doc: self.same(doc["s"], gone))
        assert self.coll.delete_one({"s": gone}, **self.said).deleted_count == min(len(hit), 1)
        left = {doc["_id"] for doc in self.coll.find()}
        assert set(self.docs) - left <= hit and len(self.docs) - len(left) == min(len(hit), 1)
        self.docs = {number: doc for number, doc in self.docs.items() if number in left}
        hit = self.select(lambda doc: self.same(doc["s"], gone))
        assert self.coll.delete_many({"s": gone}, **self.said).deleted_count == len(hit)
        for number in hit:
            del self.docs[number]
        assert {doc["_id"]: doc for doc in self.coll.find()} == self.docs


def split_over_shards(client, ns):
    """One chunk on each of two shards, where chunks can be moved."""
    shards = [shard["_id"] for shard in client.admin.command("listShards")["shards"]]
    if len(shards) < 2:
        return
    try:
        client.admin.command("moveChunk", ns, find={"s": "z"}, to=shards[1])
    except OperationFailure as failure:
        # Where chunks stay where they were made: the hashed collections lie on all shards.
        assert failure.code in (59, 238), failure


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COLLATIONS)
def test_commands_follow_the_model(client, name, kind, how):
    case = Case(client, name, kind, how)
    try:
        for _ in range(ROUNDS):
            case.check_filter()
        case.check_order()
        case.check_groups()
        for _ in range(max(ROUNDS // 3, 1)):
            case.check_writes()
        case.check_filter()
    except Exception:
        print(f"SHOAL_SEED={SEED}")
        raise


def test_ids_follow_the_collation_of_the_collection(client):
    db = client.collated
    db.ids.drop()
    db.create_collection("ids", collation=Collation("en", strength=2))
    db.ids.insert_one({"_id": "a"})
    with pytest.raises(DuplicateKeyError):
        db.ids.insert_one({"_id": "A"})
    assert db.ids.find_one({"_id": "A"}) == {"_id": "a"}
    assert db.ids.find_one({"_id": "A"}, collation=Collation("simple")) is None
    assert db.ids.replace_one({"_id": "A"}, {"x": 1}).matched_count == 1
    assert db.ids.find_one() == {"_id": "a", "x": 1}
    assert db.ids.delete_one({"_id": "A"}).deleted_count == 1


def test_unique_indexes(client):
    db = client.collated
    db.unique.drop()
    db.unique.create_index("u", unique=True, collation=Collation("en", strength=1))
    db.unique.insert_one({"_id": 1, "u": "resume"})
    with pytest.raises(DuplicateKeyError):
        db.unique.insert_one({"_id": 2, "u": "R\u00e9sum\u00e9"})
    with pytest.raises(OperationFailure) as refused:
        db.unique.create_index("u", unique=True)
    assert refused.value.code == 86
    db.unique.create_index("u", unique=True, name="bytes")
    with pytest.raises(OperationFailure) as refused:
        db.command("dropIndexes", "unique", index={"u": 1})
    assert refused.value.code == 181
    db.unique.drop_index("u_1")
    db.unique.insert_one({"_id": 2, "u": "R\u00e9sum\u00e9"})
    assert [index["name"] for index in db.unique.list_indexes()] == ["_id_", "bytes"]


def test_what_is_shown(client):
    db = client.collated
    db.shown.drop()
    db.create_collection("shown", collation=Collation("sv", strength=1))
    (listed,) = db.list_collections(filter={"name": "shown"})
    full = {
        "locale": "sv",
        "caseLevel": False,
        "caseFirst": "off",
        "strength": 1,
        "numericOrdering": False,
        "alternate": "non-ignorable",
        "maxVariable": "punct",
        "normalization": False,
        "backwards": False,
        "version": "57.1",
    }
    assert listed["options"]["collation"] == full
    assert listed["idIndex"]["collation"] == full
    db.shown.create_index("a")
    db.shown.create_index("b", collation=Collation("simple"))
    shown = {index["name"]: index.get("collation") for index in db.shown.list_indexes()}
    assert shown == {"_id_": full, "a_1": full, "b_1": None}


def test_languages(client):
    db = client.collated
    db.words.drop()
    db.words.insert_many([{"_id": at, "w": word} for at, word in enumerate(["z", "\u00f6", "o", "\u00e5", "a"])])
    ordered = lambda locale: "".join(doc["w"] for doc in db.words.find(collation=Collation(locale)).sort("w"))
    assert ordered("de") == "a\u00e5o\u00f6z"
    assert ordered("sv") == "aoz\u00e5\u00f6"


def test_shard_keys_compare_by_bytes(client):
    db = client.collated
    db.sharded.drop()
    db.create_collection("sharded", collation=Collation("en", strength=2))
    shard = functools.partial(client.admin.command, "shardCollection", "collated.sharded", key={"k": 1})
    for options in ({}, {"collation": {"locale": "en"}}):
        with pytest.raises(OperationFailure) as refused:
            shard(**options)
        assert refused.value.code == 2, refused.value
    shard(collation={"locale": "simple"})
    entry = client.config.collections.find_one({"_id": "collated.sharded"})
    assert entry["defaultCollation"]["strength"] == 2
    key = [index for index in db.sharded.list_indexes() if index["key"] == {"k": 1}]
    assert len(key) == 1 and "collation" not in key[0]
    with pytest.raises(OperationFailure) as refused:
        db.sharded.create_index([("k", 1), ("u", 1)], unique=True, name="u")
    assert refused.value.code == 67
    db.sharded.insert_many([{"_id": 1, "k": "a"}, {"_id": 2, "k": "A"}, {"_id": 3, "k": "b"}])
    assert sorted(doc["_id"] for doc in db.sharded.find({"k": "A"})) == [1, 2]
    targeted = lambda **more: db.command("explain", {"find": "sharded", "filter": {"k": "A"}, **more})["targeting"]
    assert "does not bound" in targeted()["reason"]
    assert "one value" in targeted(collation={"locale": "simple"})["reason"]
    assert db.sharded.update_one({"k": "B"}, {"$set": {"x": 1}}, upsert=True).matched_count == 1
    assert db.sharded.update_one({"k": "B"}, {"$set": {"x": 1}}, upsert=True, collation=Collation("simple")).upserted_id
    assert db.sharded.count_documents({"k": "b"}) == 2


def test_bad_documents(client):
    db = client.collated
    for collation, code in (
        ({"locale": "xx"}, 2),
        ({"locale": "en-US"}, 2),
        ({"strength": 1}, 40414),
        ({"locale": "en", "strength": 6}, 2),
        ({"locale": "en", "nope": 1}, 40415),
        ({"locale": 1}, 14),
        ({"locale": "en", "version": "1"}, 161),
        ({"locale": "en", "backwards": True}, 238),
    ):
        for command in ({"find": "words"}, {"count": "words"}, {"distinct": "words", "key": "w"}):
            with pytest.raises(OperationFailure) as refused:
                db.command({**command, "collation": collation})
            assert refused.value.code == code, (command, collation)
