"""W2: unique numbers inserted with majority and journal. In the end each number that was acknowledged is on every member exactly once, one
whose insert failed for sure on none, and all members have the same documents, byte for byte."""

import hashlib
import itertools
import sys
import threading
from collections import Counter

import pymongo
from common import DATABASE, Workers, connect, finish, read_everywhere, wait_for_stop, was_not_sent
from pymongo.errors import PyMongoError

THREADS = 8
PADDING = "x" * 200


def check(acknowledged, failed, found):
    """What is wrong; `found` is the numbers of one member's documents."""
    counts = Counter(found)
    return {
        "lost": sorted(acknowledged - counts.keys())[:20],
        "twice": sorted(number for number, count in counts.items() if count > 1)[:20],
        "failed but there": sorted(failed & counts.keys())[:20],
    }


def prove_checker(acknowledged, found):
    """With a document taken away, or one more, the check must fail."""
    some = next(iter(acknowledged))
    without = [number for number in found if number != some]
    if not check(acknowledged, set(), without)["lost"] or not check(acknowledged, set(), found + [some])["twice"]:
        raise SystemExit("the checker does not see a lost or repeated document")


def main(uri):
    client = connect(uri)
    concern = pymongo.WriteConcern(w="majority", j=True)
    collection = client[DATABASE].get_collection("inserts", write_concern=concern)
    numbers, lock = itertools.count(), threading.Lock()
    acknowledged, failed, unknown = set(), set(), set()

    def work(nth):
        with lock:
            number = next(numbers)
        try:
            collection.insert_one({"n": number, "by": nth, "padding": PADDING})
            outcome = acknowledged
        except PyMongoError as error:
            outcome = failed if was_not_sent(error) else unknown
        with lock:
            outcome.add(number)

    workers = Workers(THREADS, work)
    wait_for_stop()
    workers.stop()
    wrong, hashes = [], {}
    everywhere = read_everywhere(client, "inserts")
    for host, documents in everywhere.items():
        found = [document["n"] for document in documents]
        prove_checker(acknowledged, found)
        wrong += [f"{host}: {what}: {which}" for what, which in check(acknowledged, failed, found).items() if which]
        hashes[host] = hashlib.sha256(b"".join(document.raw for document in documents)).hexdigest()[:16]
    if len(set(hashes.values())) != 1:
        wrong.append(f"members differ: {hashes}")
    if len(acknowledged) < 10:
        wrong.append(f"only {len(acknowledged)} inserts were acknowledged")
    finish(wrong, acknowledged=len(acknowledged), failed=len(failed), unknown=len(unknown), members=len(hashes))


if __name__ == "__main__":
    main(*sys.argv[1:])
