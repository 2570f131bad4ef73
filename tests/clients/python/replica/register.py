"""W1: registers that are read, written and compared-and-set by several threads, majority writes and linearizable reads. Each key's
history must be linearizable; and with one read made stale it must not be, or the checker checks nothing."""

import random
import sys
import threading
import time

import pymongo
from common import DATABASE, Workers, connect, finish, wait_for_stop, was_not_sent
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from wgl import Operation, is_linearizable, make_stale

THREADS = 6
KEYS = 2
# A key is left after so many operations, or so many whose outcome is unknown: each of those doubles what the checker follows.
OPERATIONS_MAX = 80
UNKNOWN_MAX = 5


class Histories:
    def __init__(self):
        self.lock = threading.Lock()
        self.by_key = {}
        self.open = []
        self.next_key = 0
        self.next_value = 0
        self.last_seen = {}

    def key(self):
        with self.lock:
            while len(self.open) < KEYS:
                self.open.append(self.next_key)
                self.by_key[self.next_key] = []
                self.next_key += 1
            return random.choice(self.open)

    def value(self):
        with self.lock:
            self.next_value += 1
            return self.next_value

    def add(self, key, operation):
        with self.lock:
            history = self.by_key[key]
            history.append(operation)
            unknown = sum(one.returned is None and one.kind != "read" for one in history)
            if key in self.open and (len(history) >= OPERATIONS_MAX or unknown >= UNKNOWN_MAX):
                self.open.remove(key)


def main(uri):
    client = connect(uri)
    collection = client[DATABASE].get_collection(
        "registers", write_concern=pymongo.WriteConcern(w="majority"), read_concern=ReadConcern("linearizable")
    )
    histories = Histories()

    def work(nth):
        key, kind = histories.key(), random.choice(["read", "read", "write", "cas"])
        value = histories.value()
        seen = histories.last_seen.get(key)
        if kind == "cas" and seen is None:
            kind = "write"
        argument = {"read": None, "write": value, "cas": (seen, value)}[kind]
        invoked = time.monotonic_ns()
        try:
            if kind == "read":
                found = collection.find_one({"_id": key}, max_time_ms=3000)
                result = found["v"] if found else None
                histories.last_seen[key] = result
            elif kind == "write":
                collection.update_one({"_id": key}, {"$set": {"v": value}}, upsert=True)
                result = True
            else:
                done = collection.update_one({"_id": key, "v": seen}, {"$set": {"v": value}})
                result = done.matched_count == 1
            returned = time.monotonic_ns()
        except PyMongoError as error:
            if was_not_sent(error):
                return
            # Two threads may have made the document at the same time: one of them was refused, and nothing was done.
            if getattr(error, "code", None) == 11000:
                return
            result, returned = None, None
        histories.add(key, Operation(kind, argument, result, invoked, returned))

    workers = Workers(THREADS, work)
    wait_for_stop()
    workers.stop()
    wrong, mutated = [], 0
    for key, history in histories.by_key.items():
        if not is_linearizable(history):
            wrong.append({"key": key, "history": [list(one) for one in sorted(history, key=lambda one: one.invoked)]})
        stale = make_stale(history)
        if stale is not None:
            mutated += 1
            if is_linearizable(stale):
                wrong.append({"key": key, "checker": "accepts a stale read"})
    everything = [one for history in histories.by_key.values() for one in history]
    known = sum(one.returned is not None for one in everything)
    if not mutated:
        wrong.append("no history could be made stale: too little was done to check anything")
    finish(wrong, keys=len(histories.by_key), operations=len(everything), known=known, made_stale=mutated)


if __name__ == "__main__":
    main(*sys.argv[1:])
