"""How long a client that writes with majority stands still when the primary goes away: kill -9, SIGSTOP, replSetStepDown.

Starts a set of three members on loopback with default settings. One writer inserts with w: "majority" as fast as it can, with PyMongo's
defaults but for socketTimeoutMS=500: without it, no driver would ever leave a primary that is stopped and keeps its connections. The gap
of a trial is from the last acknowledged write before the next primary's first one to that one. Prints p50 and p99 beside the goals,
writes all raw gaps to target/bench/failover.json, and ends with 1 if a goal was missed or an acknowledged write is gone.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

ROOT = Path(__file__).resolve().parents[3]
# Milliseconds: p50, p99.
GOALS = {"kill": (300, 1000), "stop": (1800, 3000), "step down": (150, 500)}
NAMES = {"kill": "kill -9 of the primary", "stop": "SIGSTOP of the primary", "step down": "replSetStepDown"}
PATIENCE = 60
# How long a member that stepped down must not stand again.
STEP_DOWN_SECONDS = 3


class Member:
    def __init__(self, program, folder, port):
        self.program, self.port, self.host = program, port, f"127.0.0.1:{port}"
        self.data, self.log = folder / f"data{port}", (folder / f"{port}.log").open("ab")
        self.data.mkdir()
        self.process = None

    def start(self):
        arguments = [self.program, "--replSet", "bench", "--port", str(self.port), "--dbpath", self.data]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def direct(self):
        return pymongo.MongoClient(self.host, directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=2000)

    def hello(self):
        try:
            with self.direct() as client:
                return client.admin.command("hello")
        except PyMongoError:
            return {}


def until(what, look):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit(f"waited {PATIENCE} s in vain for {what}")


def free_port():
    for first in range(31000, 32000, 8):
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise SystemExit("no free ports")


class Writer:
    """Inserts numbers, and remembers when each was acknowledged."""

    def __init__(self, uri):
        self.client = pymongo.MongoClient(uri, socketTimeoutMS=500)
        concern = pymongo.WriteConcern(w="majority")
        self.collection = self.client.bench.get_collection("gaps", write_concern=concern)
        self.acknowledged, self.errors, self.next = [], 0, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            self.next += 1
            try:
                self.collection.insert_one({"_id": self.next})
            except PyMongoError:
                self.errors += 1
                continue
            self.acknowledged.append((time.monotonic(), self.next))

    def stop(self):
        self.stopped.set()
        self.thread.join(PATIENCE)


def primary(members):
    def look():
        said = [(member.hello(), member) for member in members]
        found = [(hello["electionId"], member) for hello, member in said if hello.get("isWritablePrimary")]
        return max(found, key=lambda one: one[0])[1] if found else None

    return until("a primary", look)


def all_well(members):
    def look():
        said = [member.hello() for member in members]
        return sum(bool(hello.get("isWritablePrimary")) for hello in said) == 1 and all(
            hello.get("isWritablePrimary") or hello.get("secondary") for hello in said
        )

    until("all members to be well", look)


def trial(kind, members, writer):
    """Milliseconds of the gap."""
    all_well(members)
    # The writer is in its stride, and the trials do not fall into step with anything. A member that stepped down must not stand for a
    # while, so it could not be handed over to.
    time.sleep((STEP_DOWN_SECONDS if kind == "step down" else 0.5) + random.random())
    old = primary(members)
    count = len(writer.acknowledged)
    until("writes", lambda: len(writer.acknowledged) > count + 5)
    begin = time.monotonic()
    if kind == "kill":
        old.process.kill()
        old.process.wait()
    elif kind == "stop":
        old.process.send_signal(signal.SIGSTOP)
    else:
        with old.direct() as client:
            client.admin.command("replSetStepDown", STEP_DOWN_SECONDS, secondaryCatchUpPeriodSecs=STEP_DOWN_SECONDS - 1)
    # Some writes after the new primary's first one: then the gap has an end.
    others = [member for member in members if member is not old]
    until("another primary", lambda: any(member.hello().get("isWritablePrimary") for member in others))
    count = len(writer.acknowledged)
    until("writes to the next primary", lambda: len(writer.acknowledged) > count + 5)
    times = [at for at, _ in writer.acknowledged if at > begin - 1]
    gap = max(after - before for before, after in zip(times, times[1:]))
    if kind == "kill":
        old.start()
    elif kind == "stop":
        old.process.send_signal(signal.SIGCONT)
    return gap * 1000


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=Path, default=ROOT / "target/release")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--only", action="append", choices=list(GOALS))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="shoal-failover-"))
    first = free_port()
    members = [Member(options.bin_dir / "shardsvr", folder, first + nth) for nth in range(3)]
    load_before = os.getloadavg()[0]
    gaps, wrong = {}, []
    try:
        for member in members:
            member.start()
        until("the members to listen", lambda: all(member.hello() for member in members))
        config = {"_id": "bench", "members": [{"_id": nth, "host": member.host} for nth, member in enumerate(members)]}
        with members[0].direct() as client:
            client.admin.command("replSetInitiate", config)
        all_well(members)
        uri = f"mongodb://{','.join(member.host for member in members)}/?replicaSet=bench"
        writer = Writer(uri)
        for kind in options.only or GOALS:
            gaps[kind] = []
            for nth in range(options.trials):
                gaps[kind].append(round(trial(kind, members, writer), 1))
                if sys.stderr.isatty():
                    print(f"\r{kind} {nth + 1}/{options.trials}: {gaps[kind][-1]} ms   ", end="", file=sys.stderr)
        writer.stop()
        all_well(members)
        with pymongo.MongoClient(uri) as client:
            there = {document["_id"] for document in client.bench.gaps.find({}, {"_id": 1})}
        lost = sorted({number for _, number in writer.acknowledged} - there)
        if lost:
            wrong.append(f"{len(lost)} acknowledged writes are gone: {lost[:10]}")
        rows = []
        print(f"{os.cpu_count()} cores; load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after; "
              f"{len(writer.acknowledged)} writes acknowledged, {writer.errors} failed to the application")
        for kind, values in gaps.items():
            p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
            goal50, goal99 = GOALS[kind]
            missed = [name for name, got, goal in (("p50", p50, goal50), ("p99", p99, goal99)) if got > goal]
            wrong += [f"{NAMES[kind]}, {name}" for name in missed]
            rows.append({"event": NAMES[kind], "trials": len(values), "p50_ms": p50, "p99_ms": p99, "max_ms": max(values),
                         "goal_p50_ms": goal50, "goal_p99_ms": goal99, "missed": missed, "gaps_ms": values})
            print(f"{NAMES[kind]:<24} {len(values):>4} trials   p50 {p50:>7} ms (goal {goal50})   p99 {p99:>7} ms (goal {goal99})"
                  f"   max {max(values)} ms   {'missed ' + ', '.join(missed) if missed else ''}")
        out = ROOT / "target/bench/failover.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        result = {"benchmark": "failover", "cores": os.cpu_count(), "load_average_before": load_before,
                  "load_average_after": os.getloadavg()[0], "pymongo": pymongo.version, "socketTimeoutMS": 500,
                  "acknowledged": len(writer.acknowledged), "errors_seen": writer.errors, "lost": lost, "rows": rows}
        out.write_text(json.dumps(result, indent=2) + "\n")
    finally:
        for member in members:
            if member.process:
                member.process.send_signal(signal.SIGCONT)
                member.process.kill()
                member.process.wait()
        if os.environ.get("SHOAL_KEEP"):
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder)
    print("missed: " + "; ".join(wrong) if wrong else "every goal was met")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
