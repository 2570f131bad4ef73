"""Numbered statements sent again by hand: executed once, answered the same, whichever router they come through.

SHOAL_URI_2 names a second router of the same cluster; with SHOAL_DIR and SHOAL_BIN a shard is killed between the two sends.
"""

import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import uuid

import bson
import pytest
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

URI = os.environ.get("SHOAL_URI", "mongodb://127.0.0.1:27017")
URIS = [URI] + ([os.environ["SHOAL_URI_2"]] if os.environ.get("SHOAL_URI_2") else [])
DIR, BIN = os.environ.get("SHOAL_DIR"), os.environ.get("SHOAL_BIN")
DB = "resend"


def call(uri, command, db=DB):
    """One command over a connection of its own: no driver adds a session or a retry."""
    host = parse_uri(uri)["nodelist"][0]
    payload = struct.pack("<I", 0) + b"\0" + bson.encode({**command, "$db": db})
    with socket.create_connection(host, timeout=30) as connection:
        connection.sendall(struct.pack("<iiii", len(payload) + 16, 1, 0, 2013) + payload)
        stream = connection.makefile("rb")
        length = struct.unpack("<iiii", stream.read(16))[0]
        return bson.decode(stream.read(length - 16)[5:])


def without_times(reply):
    return {name: value for name, value in reply.items() if name not in ("$clusterTime", "operationTime", "retriedStmtIds", "retriedStmtId", "opTime", "electionId")}


@pytest.fixture(scope="module", params=["hashed", "unsharded"])
def collection(request):
    client = MongoClient(URI)
    client[DB].drop_collection(request.param)
    if request.param == "hashed":
        client.admin.command("shardCollection", f"{DB}.hashed", key={"k": "hashed"})
    yield client[DB][request.param]
    client[DB].drop_collection(request.param)


def session():
    return {"id": bson.Binary.from_uuid(uuid.uuid4())}


def restart_shards():
    status = json.loads(subprocess.check_output([f"{BIN}/shoal", "status", "--dir", DIR, "--json"]))
    shards = [process for process in status["processes"] if process["role"] == "shard"]
    for shard in shards:
        os.kill(shard["pid"], signal.SIGKILL)
    subprocess.check_call([f"{BIN}/shoal", "up", "--dir", DIR], stdout=subprocess.DEVNULL)


def commands(name):
    """Commands whose second execution would be seen."""
    return {
        "insert": {"insert": name, "documents": [{"_id": f"i{at}", "k": at} for at in range(10)]},
        "insert some again": {"insert": name, "ordered": False, "documents": [{"_id": f"i{at}", "k": at} for at in range(5, 15)]},
        "update by key": {"update": name, "updates": [{"q": {"k": at}, "u": {"$inc": {"n": 1}}} for at in range(10, 20)]},
        "update by _id": {"update": name, "updates": [{"q": {"_id": at}, "u": {"$inc": {"n": 1}}} for at in range(10)]},
        "update any": {"update": name, "updates": [{"q": {"seen": None}, "u": {"$inc": {"n": 1}, "$set": {"seen": at}}} for at in range(5)]},
        "update mixed": {"update": name, "ordered": False, "updates": [
            {"q": {"k": 3}, "u": {"$inc": {"n": 1}}}, {"q": {"_id": 4}, "u": {"$inc": {"n": 1}}}, {"q": {"x": "no"}, "u": {"$inc": {"n": 1}}}]},
        "upsert by key": {"update": name, "updates": [{"q": {"k": 100 + at}, "u": {"$inc": {"n": 1}}, "upsert": True} for at in range(5)]},
        "upsert by another": {"update": name, "updates": [{"q": {"x": f"up{at}"}, "u": {"$inc": {"n": 1}}, "upsert": True} for at in range(5)]},
        "upsert by _id": {"update": name, "updates": [{"q": {"_id": f"up{at}"}, "u": {"$inc": {"n": 1}, "$set": {"k": at}}, "upsert": True} for at in range(5)]},
        "delete by key": {"delete": name, "deletes": [{"q": {"k": at}, "limit": 1} for at in range(20, 25)]},
        "delete any": {"delete": name, "deletes": [{"q": {"k": {"$gte": 25}}, "limit": 1} for _ in range(3)]},
        "find and update any": {"findAndModify": name, "query": {"f": None}, "update": {"$inc": {"n": 1}, "$set": {"f": 1}}, "new": True},
        "find and update by key": {"findAndModify": name, "query": {"k": 12}, "update": {"$inc": {"n": 1}}},
        "find and remove any": {"findAndModify": name, "query": {}, "remove": True, "sort": {"k": -1}},
        "find and upsert": {"findAndModify": name, "query": {"x": "fam"}, "update": {"$inc": {"n": 1}}, "upsert": True, "new": True},
        "find and upsert by _id": {"findAndModify": name, "query": {"_id": "fam"}, "update": {"$inc": {"n": 1}}, "upsert": True, "new": True},
    }


CASES = list(commands(""))


def filled(collection):
    collection.delete_many({})
    collection.insert_many([{"_id": at, "k": at, "n": 0} for at in range(40)])


def everything(collection):
    return {doc["_id"]: doc for doc in collection.find()}


@pytest.mark.parametrize("case", CASES)
def test_resent(collection, case):
    filled(collection)
    command = {**commands(collection.name)[case], "lsid": session(), "txnNumber": bson.Int64(1)}
    first = call(URI, command)
    assert first["ok"] == 1, first
    after = everything(collection)
    for uri in itertools.chain(URIS, URIS):
        again = call(uri, command)
        assert everything(collection) == after, f"{case}: executed again; {first} then {again}"
        if "again" not in case:
            assert without_times(again) == without_times(first)


def test_resent_with_other_positions(collection):
    """A driver may send the rest of a batch with the old statement numbers, in another order."""
    filled(collection)
    lsid = session()
    updates = [{"q": {"_id": at}, "u": {"$inc": {"n": 1}}} for at in range(10)]
    head = {"update": collection.name, "lsid": lsid, "txnNumber": bson.Int64(7)}
    assert call(URI, {**head, "updates": updates[:6], "stmtIds": list(range(6))})["n"] == 6
    for uri in URIS:
        assert call(uri, {**head, "updates": updates[::-1], "stmtIds": list(range(10))[::-1]})["n"] == 10
    assert [doc["n"] for doc in collection.find().sort("_id").limit(11)] == [1] * 10 + [0]


def test_an_older_number_is_refused(collection):
    filled(collection)
    lsid = session()
    for at in range(40):
        call(URI, {"update": collection.name, "updates": [{"q": {"k": at}, "u": {"$set": {"t": 1}}}], "lsid": lsid, "txnNumber": bson.Int64(5)})
    for uri in URIS:
        reply = call(uri, {"insert": collection.name, "documents": [{"_id": "old", "k": 1}], "lsid": lsid, "txnNumber": bson.Int64(4)})
        code = reply.get("code") or reply["writeErrors"][0]["code"]
        assert code == 225, reply
    assert collection.count_documents({"_id": "old"}) == 0


def test_a_failed_statement_is_tried_again(collection):
    filled(collection)
    command = {"insert": collection.name, "ordered": False, "lsid": session(), "txnNumber": bson.Int64(1),
               "documents": [{"_id": "a", "k": 1}, {"_id": 2, "k": 2}, {"_id": "b", "k": 3}]}
    first = call(URI, command)
    assert (first["n"], [error["index"] for error in first["writeErrors"]]) == (2, [1])
    assert collection.delete_one({"k": 2, "_id": 2}).deleted_count == 1
    second = call(URIS[-1], command)
    assert second["n"] == 3 and "writeErrors" not in second, second
    assert collection.count_documents({"_id": {"$in": ["a", 2, "b"]}}) == 3


@pytest.mark.skipif(not (DIR and BIN), reason="SHOAL_DIR and SHOAL_BIN are not set")
def test_resent_after_a_crash(collection):
    all_commands, sent = commands(collection.name), []
    filled(collection)
    for case in CASES:
        if "insert some" in case:
            continue
        command = {**all_commands[case], "lsid": session(), "txnNumber": bson.Int64(1), "writeConcern": {"w": "majority"}}
        sent.append((case, command, call(URI, command)))
    after = everything(collection)
    restart_shards()
    for case, command, first in sent:
        again = call(URIS[-1], command)
        assert everything(collection) == after, f"{case}: executed again; {first} then {again}"
        assert without_times(again) == without_times(first), case
