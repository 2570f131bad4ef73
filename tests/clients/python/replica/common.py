"""What the workloads share. A workload runs while a test breaks things, and is told what to do by lines on its standard input: it says
`ready` once it works, ends at `stop`, reads back what is there, checks, prints one line of JSON, and exits with 0 if nothing is wrong.
"""

import json
import sys
import threading
import time

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

DATABASE = "nemesis"
# A wait for the whole set to be well again.
PATIENCE = 90


def connect(uri, **options):
    """A client of the set, as an application has it; a hanging member is left after some seconds."""
    defaults = {"serverSelectionTimeoutMS": 5000, "connectTimeoutMS": 1000, "socketTimeoutMS": 5000}
    return MongoClient(uri, **{**defaults, **options})


def direct(host, **options):
    """A client of one member, whatever it is."""
    return connect(f"mongodb://{host}/", directConnection=True, **options)


def was_not_sent(error):
    """Whether the driver gave up before it sent anything."""
    return isinstance(error, ServerSelectionTimeoutError)


class Workers:
    """Threads that work until they are told to stop."""

    def __init__(self, count, work):
        self.stopped = threading.Event()
        self.failures = []
        self.threads = [threading.Thread(target=self._run, args=(work, nth), daemon=True) for nth in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, work, nth):
        try:
            while not self.stopped.is_set():
                work(nth)
        except Exception as error:  # noqa: BLE001 - a worker that ends early would make every check pass
            self.failures.append(repr(error))
            raise

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a worker does not end"
        assert not self.failures, self.failures


def commands():
    """The lines of the test, after having said `ready`."""
    print("ready", flush=True)
    for line in sys.stdin:
        yield line.split()


def wait_for_stop():
    for words in commands():
        if words == ["stop"]:
            return
    raise SystemExit("the test went away")


def until(what, look):
    """Looks until there is an answer that is not None."""
    deadline, last = time.monotonic() + PATIENCE, None
    while time.monotonic() < deadline:
        try:
            found = look()
            if found is not None:
                return found
        except PyMongoError as error:
            last = error
        time.sleep(0.1)
    raise SystemExit(f"waited {PATIENCE} s in vain for {what}: {last}")


def members(client):
    """`host:port` of all members with data, once each of them is primary or secondary."""

    def look():
        hello = client.admin.command("hello")
        hosts = hello["hosts"] + hello.get("passives", [])
        for host in hosts:
            with direct(host, serverSelectionTimeoutMS=1000) as one:
                said = one.admin.command("hello")
                if not (said.get("isWritablePrimary") or said.get("secondary")):
                    return None
        return hosts

    return until("all members to be well", look)


def read_everywhere(client, collection):
    """The documents of each member, by host, once all have what the primary has now."""
    hosts = members(client)
    marker = until("a last write", lambda: _mark(client, collection))
    found = {}
    for host in hosts:
        with direct(host, document_class=RawBSONDocument, socketTimeoutMS=60000) as one:
            place = one[DATABASE].get_collection(collection, read_preference=pymongo.ReadPreference.NEAREST)
            until(f"the last write at {host}", lambda place=place: place.find_one({"_id": marker}))
            documents = until(f"the documents of {host}", lambda place=place: list(place.find().sort("_id", 1)))
            found[host] = [document for document in documents if document["_id"] != marker]
    return found


def _mark(client, collection):
    concern = pymongo.WriteConcern(w="majority", wtimeout=5000)
    return client[DATABASE].get_collection(collection, write_concern=concern).insert_one({"marker": True}).inserted_id


def finish(wrong, **figures):
    """Prints the outcome and ends: 0 if `wrong` is empty."""
    print(json.dumps({"wrong": wrong, **figures}), flush=True)
    sys.exit(1 if wrong else 0)
