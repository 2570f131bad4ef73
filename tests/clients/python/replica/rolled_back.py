"""W3: numbers inserted with w:1, some into a primary that is parted from the others. What was acknowledged and is gone in the end must
be in the files that a member wrote when it rolled back; and each number is there once at most."""

import itertools
import json
import sys
import threading
from pathlib import Path

import bson
import pymongo
from common import DATABASE, Workers, commands, connect, direct, finish, read_everywhere
from pymongo.errors import PyMongoError

THREADS = 2


def numbers_in(value):
    """All values of a field `n`, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "n" and isinstance(inner, int):
                yield inner
            yield from numbers_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers_in(inner)


def in_files(folders):
    found, files = set(), 0
    for folder in folders:
        for file in Path(folder).rglob("*.bson"):
            files += 1
            with file.open("rb") as stream:
                for document in bson.decode_file_iter(stream):
                    found.update(numbers_in(document))
    return found, files


def unexplained(acknowledged, present, kept):
    return sorted(acknowledged - present - kept)


def main(uri):
    client = connect(uri, retryWrites=False)
    concern = pymongo.WriteConcern(w=1)
    numbers, lock = itertools.count(), threading.Lock()
    acknowledged, at_parted = set(), set()

    def writer(collection, *sets):
        def work(nth):
            with lock:
                number = next(numbers)
            try:
                collection.insert_one({"n": number})
            except PyMongoError:
                return
            with lock:
                for one in sets:
                    one.add(number)

        return work

    workers = [Workers(THREADS, writer(client[DATABASE].get_collection("w1", write_concern=concern), acknowledged))]
    folders, parted = None, []
    for words in commands():
        if words[0] == "parted":
            # The old primary, reached past all drivers' wisdom.
            parted.append(direct(words[1], retryWrites=False, serverSelectionTimeoutMS=500))
            place = parted[-1][DATABASE].get_collection("w1", write_concern=concern)
            workers.append(Workers(THREADS, writer(place, acknowledged, at_parted)))
            print("writing", flush=True)
        elif words[0] == "healing":
            for crew in workers[1:]:
                crew.stop()
            workers = workers[:1]
            print("stopped", flush=True)
        elif words[0] == "stop":
            folders = json.loads(" ".join(words[1:]))
            break
    if folders is None:
        raise SystemExit("the test went away")
    for crew in workers:
        crew.stop()
    wrong = []
    kept, files = in_files(folders)
    lost = set()
    for host, documents in read_everywhere(client, "w1").items():
        found = [document["n"] for document in documents]
        lost |= acknowledged - set(found)
        missing = unexplained(acknowledged, set(found), kept)
        if missing:
            wrong.append(f"{host}: {len(missing)} are neither there nor in a rollback file: {missing[:20]}")
        if len(found) != len(set(found)):
            wrong.append(f"{host}: some are there twice")
        # The checker must see a lost document that no file explains.
        some = next(iter(acknowledged))
        if not unexplained(acknowledged, set(found) - {some}, kept - {some}):
            wrong.append("the checker does not see a loss")
    figures = {"acknowledged": len(acknowledged), "at_parted": len(at_parted), "lost": len(lost), "files": files}
    finish(wrong, **figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
