"""Runs PyMongo's own tests against a router, or with --set against a replica set of three members, and counts.

The tests are those of the source distribution of the PyMongo that is installed here, fetched through pip. A cluster is started
for them. Prints passed, failed and skipped by file, and writes target/pymongo-suite.json (with --set, pymongo-suite-set.json). Ends
with 1 if a test failed that is not listed in pymongo_known_failures.txt (pymongo_known_failures_set.txt), or if a listed one passed;
`--update` writes that list anew.
"""

import argparse
import fnmatch
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pymongo

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
KNOWN = HERE / "pymongo_known_failures.txt"
FILES = [
    "test_crud_unified.py",
    "test_collation.py",
    "test_collection.py",
    "test_cursor.py",
    "test_database.py",
    "test_client.py",
]
# What is about replica sets, read preferences, concerns, sessions, and operations that are sent again.
SET_FILES = [
    "test_replica_set_reconfig.py",
    "test_read_preferences.py",
    "test_max_staleness.py",
    "test_server_selection.py",
    "test_server_selection_in_window.py",
    "test_discovery_and_monitoring.py",
    "test_sdam_monitoring_spec.py",
    "test_heartbeat_monitoring.py",
    "test_streaming_protocol.py",
    "test_topology.py",
    "test_connections_survive_primary_stepdown_spec.py",
    "test_read_concern.py",
    "test_write_concern.py",
    "test_read_write_concern_spec.py",
    "test_causal_consistency.py",
    "test_session.py",
    "test_sessions_unified.py",
    "test_retryable_reads.py",
    "test_retryable_reads_unified.py",
    "test_retryable_writes.py",
    "test_retryable_writes_unified.py",
    "test_operation_id_retry.py",
]
KNOWN_SET = HERE / "pymongo_known_failures_set.txt"
# One test may take this long; a file as many seconds as follow.
TEST_SECONDS = 120
FILE_SECONDS = 1500


def fetch(cache: Path) -> Path:
    """The unpacked source distribution."""
    name = f"pymongo-{pymongo.version}"
    if not (cache / name / "test").is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        # Only PyMongo itself as source: what reads its metadata may come as it is.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", "pymongo", "--dest", str(cache), f"pymongo=={pymongo.version}"]
        subprocess.run(command, check=True)
        with tarfile.open(cache / f"{name}.tar.gz") as archive:
            archive.extractall(cache, filter="data")
    return cache / name


def free_port() -> int:
    """A port whose neighbours are free too: the cluster takes a row of them."""
    for first in range(21000, 31000, 24):
        try:
            for port in range(first, first + 8):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise SystemExit("no free ports between 21000 and 31000")


def run_file(tests: Path, file: str, port: int, report: Path) -> dict:
    """Outcome by test."""
    environment = dict(os.environ, DB_IP="127.0.0.1", DB_PORT=str(port), PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--color=no", "--tb=short", "-p", "no:cacheprovider"]
    command += [f"--junitxml={report}", "-o", f"faulthandler_timeout={TEST_SECONDS}", f"test/{file}"]
    log = report.with_suffix(".log")
    with log.open("w") as out:
        try:
            subprocess.run(
                command, cwd=tests, env=environment, stdout=out, stderr=subprocess.STDOUT, timeout=FILE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"  {file} did not end within {FILE_SECONDS} s")
    if not report.is_file():
        print("\n".join(log.read_text().splitlines()[-15:]))
        return {f"{file}::(no report)": ("failed", "pytest wrote no report")}
    outcome = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{file}::{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name')}"
        kind, message = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                kind, message = "failed", (child.get("message") or "")[:300]
            elif child.tag == "skipped" and kind == "passed":
                kind, message = "skipped", (child.get("message") or "")[:300]
        outcome[name] = (kind, message)
    return outcome


def known_failures(known: Path) -> tuple[set, list]:
    """The tests that fail, and patterns of those whose outcome depends on the machine."""
    lines = known.read_text().splitlines() if known.is_file() else []
    lines = [line.split("  # ")[0].strip() for line in lines if line.strip() and not line.startswith("#")]
    return {line for line in lines if not line.startswith("?")}, [line[1:].strip() for line in lines if line.startswith("?")]


def is_local(name: str, patterns: list) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def reason(message: str) -> str:
    """The begin of a failure, without the reply that follows it."""
    first = message.splitlines()[0] if message else ""
    return first.split(", full error")[0].removeprefix("pymongo.errors.OperationFailure: ")[:120]


def write_known(known: Path, outcomes: dict) -> None:
    kept = [line for line in known.read_text().splitlines() if line.startswith(("#", "?"))] if known.is_file() else []
    _, local = known_failures(known)
    failed = [(name, message) for name, (kind, message) in sorted(outcomes.items()) if kind == "failed"]
    lines = [f"{name}  # {reason(message)}" for name, message in failed if not is_local(name, local)]
    known.write_text("\n".join(kept + lines) + "\n")


class ReplicaSet:
    """Three members, initiated, each primary or secondary."""

    def __init__(self, bin_dir: Path, data: Path, port: int):
        self.data, self.processes = data, []
        hosts = [f"127.0.0.1:{port + nth}" for nth in range(3)]
        for nth in range(3):
            folder = data / str(nth)
            folder.mkdir()
            with (data / f"{nth}.log").open("wb") as log:
                arguments = [bin_dir / "shardsvr", "--replSet", "rs", "--port", str(port + nth), "--dbpath", folder]
                self.processes.append(subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        members = [{"_id": nth, "host": host} for nth, host in enumerate(hosts)]
        with pymongo.MongoClient(hosts[0], directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": "rs", "members": members})
        deadline = time.monotonic() + 60
        while not all(self.is_well(host) for host in hosts):
            if time.monotonic() > deadline:
                raise SystemExit("the replica set did not get ready")
            time.sleep(0.1)

    @staticmethod
    def is_well(host: str) -> bool:
        with pymongo.MongoClient(host, directConnection=True) as client:
            hello = client.admin.command("hello")
        return bool(hello.get("secondary") or (hello.get("isWritablePrimary") and hello.get("primary")))

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=Path, default=ROOT / "target/release", help="folder of the built binaries")
    parser.add_argument("--port", type=int, help="port of a router that runs already; otherwise a cluster is started")
    parser.add_argument("--set", action="store_true", help="a replica set of three members instead of a cluster behind a router")
    parser.add_argument("--file", action="append", help="only this file")
    parser.add_argument("--update", action="store_true", help="write the list of known failures anew")
    options = parser.parse_args()
    target = ROOT / "target"
    tests = fetch(target / "pymongo-sdist")
    shoal = options.bin_dir / "shoal"
    data = None
    port = options.port
    replica_set = None
    listed = KNOWN_SET if options.set else KNOWN
    if port is None:
        data = Path(tempfile.mkdtemp(prefix="shoal-pymongo-"))
        port = free_port()
    if data is not None and options.set:
        replica_set = ReplicaSet(options.bin_dir, data, port)
    elif data is not None:
        up = [shoal, "up", "--shards", "2", "--replicas", "1", "--dir", data, "--port", str(port), "--bin-dir", options.bin_dir]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
    try:
        outcomes, table = {}, []
        for file in options.file or (SET_FILES if options.set else FILES):
            begin = time.monotonic()
            report = target / "pymongo-suite" / f"{Path(file).stem}.xml"
            report.parent.mkdir(parents=True, exist_ok=True)
            report.unlink(missing_ok=True)
            found = run_file(tests, file, port, report)
            outcomes.update(found)
            kinds = [kind for kind, _ in found.values()]
            row = {kind: kinds.count(kind) for kind in ("passed", "failed", "skipped")}
            table.append({"file": file, **row, "seconds": round(time.monotonic() - begin, 1)})
            print("{file:<50} {passed:>5} passed {failed:>5} failed {skipped:>5} skipped   {seconds} s".format(**table[-1]), flush=True)
    finally:
        if replica_set is not None:
            replica_set.stop()
        elif data is not None:
            subprocess.run([shoal, "down", "--dir", data], check=False, stdout=subprocess.DEVNULL)
        if data is not None:
            subprocess.run(["rm", "-rf", str(data)], check=True)
    total = {kind: sum(row[kind] for row in table) for kind in ("passed", "failed", "skipped")}
    print("{:<50} {passed:>5} passed {failed:>5} failed {skipped:>5} skipped".format("all", **total))
    failed = {name: message for name, (kind, message) in outcomes.items() if kind == "failed"}
    result = {"pymongo": pymongo.version, "total": total, "files": table, "failures": failed}
    (target / f"pymongo-suite{'-set' if options.set else ''}.json").write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    if options.update:
        write_known(listed, outcomes)
    known, local = known_failures(listed)
    new = sorted(name for name in set(failed) - known if not is_local(name, local))
    mended = sorted(name for name in known if outcomes.get(name, ("",))[0] == "passed")
    for name in new:
        print(f"fails, and is not known to: {name}\n    {failed[name]}")
    for name in mended:
        print(f"passes; take it from {listed.name}: {name}")
    print(f"pymongo-suite: {len(failed)} failures, {len(new)} new, {len(mended)} mended; details in target/pymongo-suite")
    return 1 if new or mended else 0


if __name__ == "__main__":
    sys.exit(main())
