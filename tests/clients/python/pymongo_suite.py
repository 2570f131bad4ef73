"""Runs PyMongo's own tests against a router and counts.

The tests are those of the source distribution of the PyMongo that is installed here, fetched through pip. A cluster is started
for them. Prints passed, failed and skipped by file, and writes target/pymongo-suite.json. Ends with 1 if a test failed that is
not listed in pymongo_known_failures.txt, or if a listed one passed; `--update` writes that list anew.
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
FILES = ["test_crud_unified.py", "test_collection.py", "test_cursor.py", "test_database.py", "test_client.py"]
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


def known_failures() -> tuple[set, list]:
    """The tests that fail, and patterns of those whose outcome depends on the machine."""
    lines = KNOWN.read_text().splitlines() if KNOWN.is_file() else []
    lines = [line.split("  # ")[0].strip() for line in lines if line.strip() and not line.startswith("#")]
    return {line for line in lines if not line.startswith("?")}, [line[1:].strip() for line in lines if line.startswith("?")]


def is_local(name: str, patterns: list) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def reason(message: str) -> str:
    """The begin of a failure, without the reply that follows it."""
    first = message.splitlines()[0] if message else ""
    return first.split(", full error")[0].removeprefix("pymongo.errors.OperationFailure: ")[:120]


def write_known(outcomes: dict) -> None:
    kept = [line for line in KNOWN.read_text().splitlines() if line.startswith(("#", "?"))] if KNOWN.is_file() else []
    _, local = known_failures()
    failed = [(name, message) for name, (kind, message) in sorted(outcomes.items()) if kind == "failed"]
    lines = [f"{name}  # {reason(message)}" for name, message in failed if not is_local(name, local)]
    KNOWN.write_text("\n".join(kept + lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin-dir", type=Path, default=ROOT / "target/release", help="folder of the built binaries")
    parser.add_argument("--port", type=int, help="port of a router that runs already; otherwise a cluster is started")
    parser.add_argument("--file", action="append", help="only this file")
    parser.add_argument("--update", action="store_true", help="write the list of known failures anew")
    options = parser.parse_args()
    target = ROOT / "target"
    tests = fetch(target / "pymongo-sdist")
    shoal = options.bin_dir / "shoal"
    data = None
    port = options.port
    if port is None:
        data = Path(tempfile.mkdtemp(prefix="shoal-pymongo-"))
        port = free_port()
        up = [shoal, "up", "--shards", "2", "--replicas", "1", "--dir", data, "--port", str(port), "--bin-dir", options.bin_dir]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
    try:
        outcomes, table = {}, []
        for file in options.file or FILES:
            begin = time.monotonic()
            report = target / "pymongo-suite" / f"{Path(file).stem}.xml"
            report.parent.mkdir(parents=True, exist_ok=True)
            report.unlink(missing_ok=True)
            found = run_file(tests, file, port, report)
            outcomes.update(found)
            kinds = [kind for kind, _ in found.values()]
            row = {kind: kinds.count(kind) for kind in ("passed", "failed", "skipped")}
            table.append({"file": file, **row, "seconds": round(time.monotonic() - begin, 1)})
            print("{file:<24} {passed:>5} passed {failed:>5} failed {skipped:>5} skipped   {seconds} s".format(**table[-1]), flush=True)
    finally:
        if data is not None:
            subprocess.run([shoal, "down", "--dir", data], check=False, stdout=subprocess.DEVNULL)
            subprocess.run(["rm", "-rf", str(data)], check=True)
    total = {kind: sum(row[kind] for row in table) for kind in ("passed", "failed", "skipped")}
    print("{:<24} {passed:>5} passed {failed:>5} failed {skipped:>5} skipped".format("all", **total))
    failed = {name: message for name, (kind, message) in outcomes.items() if kind == "failed"}
    result = {"pymongo": pymongo.version, "total": total, "files": table, "failures": failed}
    (target / "pymongo-suite.json").write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    if options.update:
        write_known(outcomes)
    known, local = known_failures()
    new = sorted(name for name in set(failed) - known if not is_local(name, local))
    mended = sorted(name for name in known if outcomes.get(name, ("",))[0] == "passed")
    for name in new:
        print(f"fails, and is not known to: {name}\n    {failed[name]}")
    for name in mended:
        print(f"passes; take it from {KNOWN.name}: {name}")
    print(f"pymongo-suite: {len(failed)} failures, {len(new)} new, {len(mended)} mended; details in target/pymongo-suite")
    return 1 if new or mended else 0


if __name__ == "__main__":
    sys.exit(main())
