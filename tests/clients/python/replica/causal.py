"""W6: causally consistent sessions that write with majority and read from secondaries with majority. Each session must read its own
last write, never an older value than it read before; and a session that was told of another's time must see what that one wrote."""

import random
import sys
import threading

import pymongo
from common import DATABASE, Workers, connect, finish, wait_for_stop
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

THREADS = 6


def violations(history):
    """What is wrong in one thread's history of (kind, value): a write's value is the least that a later read may return."""
    least, wrong = 0, []
    for place, (kind, value) in enumerate(history):
        if kind == "read" and value < least:
            wrong.append({"at": place, "read": value, "least": least})
        least = max(least, value)
    return wrong


def main(uri):
    client = connect(uri)
    options = {"write_concern": pymongo.WriteConcern(w="majority"), "read_concern": ReadConcern("majority")}
    preference = pymongo.ReadPreference.SECONDARY_PREFERRED
    collection = client[DATABASE].get_collection("causal", read_preference=preference, **options)
    lock = threading.Lock()
    sessions = [client.start_session(causal_consistency=True) for _ in range(THREADS)]
    values, histories = [0] * THREADS, [[] for _ in range(THREADS)]
    # Of each thread, its last write's value with the session's times after it.
    told, crossed, unknown = [None] * THREADS, [], [0]

    def work(nth):
        session = sessions[nth]
        try:
            if random.random() < 0.4:
                values[nth] += 1
                collection.update_one({"_id": nth}, {"$max": {"v": values[nth]}}, upsert=True, session=session)
                histories[nth].append(("write", values[nth]))
                with lock:
                    told[nth] = (values[nth], session.operation_time, session.cluster_time)
            elif random.random() < 0.5:
                found = collection.find_one({"_id": nth}, session=session)
                histories[nth].append(("read", found["v"] if found else 0))
            else:
                other = random.randrange(THREADS)
                with lock:
                    message = told[other]
                if message is None:
                    return
                value, operation_time, cluster_time = message
                with client.start_session(causal_consistency=True) as fresh:
                    fresh.advance_cluster_time(cluster_time)
                    fresh.advance_operation_time(operation_time)
                    found = collection.find_one({"_id": other}, session=fresh)
                with lock:
                    crossed.append((value, found["v"] if found else 0))
        except PyMongoError:
            unknown[0] += 1

    workers = Workers(THREADS, work)
    wait_for_stop()
    workers.stop()
    wrong = [{"thread": nth, **one} for nth, history in enumerate(histories) for one in violations(history)]
    wrong += [{"told": value, "read": read} for value, read in crossed if read < value]
    # The checker must see a read that goes back.
    for history in histories:
        if history and not violations(history + [("write", 10**9), ("read", 1)]):
            wrong.append("the checker does not see a stale read")
    reads = sum(kind == "read" for history in histories for kind, _ in history)
    writes = sum(kind == "write" for history in histories for kind, _ in history)
    if reads < 10 or len(crossed) < 10:
        wrong.append("too little was read")
    finish(wrong, reads=reads, writes=writes, crossed=len(crossed), unknown=unknown[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
