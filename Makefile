# What people run by hand; .ci/run calls `make test`. Everything that is installed comes through npm and pip, as they are set up
# on the machine, and stays below tests/clients.

CARGO   ?= cargo
PYTHON  ?= python3
NPM     ?= npm
CLIENTS := tests/clients
VENV    := $(CLIENTS)/.venv
PROFILE ?= verify
# Where the demo's cluster lives, and its router's port.
DIR     ?= shoal-data
PORT    ?= 27017

.DEFAULT_GOAL := help
.PHONY: help build demo down test verify setup fmt lint build-verify test-clients pymongo-suite pymongo-suite-set bench-router bench-member bench-storage bench-replication bench-failover campaign-storage campaign-replication
# Each step builds in the same directory.
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the optimised binaries, in target/release
	$(CARGO) build --release --bins

demo: ## build, start a local cluster, shard, import the cities, ask
	./demo.sh --dir $(DIR) --port $(PORT)

down: ## stop the demo's cluster; its data stays
	target/release/shoal down --dir $(DIR)

test: export SHOAL_REQUIRE_CLIENTS = 1
test: setup verify ## everything: install the clients, then `make verify` with none of them skipped

verify: fmt lint build-verify ## format, lints, all tests; real clients that are not installed are skipped aloud
	$(CARGO) test --profile $(PROFILE) --workspace
	@echo "verify: all green"

setup: ## install mongosh, PyMongo and the Node driver below tests/clients
	$(CLIENTS)/setup.sh

fmt: ## is the code formatted?
	$(CARGO) fmt --all --check

# In the profile of the tests, so that build scripts and macros are built once for both.
lint: ## clippy, warnings are errors
	$(CARGO) clippy --profile $(PROFILE) --workspace --all-targets -- -D warnings

# With the tests, so that all dependencies are built once, with the features that both need.
build-verify: ## the binaries that the tests start, and the tests
	$(CARGO) build --profile $(PROFILE) --workspace --bins --tests

# mongosh, PyMongo and the Node driver against running clusters.
test-clients: build-verify ## the real clients only
	$(CARGO) test --profile $(PROFILE) --workspace --test clients

pymongo-suite: ## PyMongo's own tests against a router: passed, failed, skipped
	$(CARGO) build --release --bins
	$(VENV)/bin/python $(CLIENTS)/python/pymongo_suite.py --bin-dir target/release

pymongo-suite-set: ## PyMongo's own tests about replica sets against three members
	$(CARGO) build --release --bins
	$(VENV)/bin/python $(CLIENTS)/python/pymongo_suite.py --set --bin-dir target/release

bench-router: ## what the router costs: latency, CPU, start, import, memory; see BENCHMARKS.md
	$(CARGO) build --release --bins
	target/release/bench router

bench-member: ## what one member costs over the wire, and large inserts through the router; see BENCHMARKS.md
	$(CARGO) build --release --bins
	target/release/bench member

# SUSTAINED=600 for the run of ten minutes, whose targets count.
SUSTAINED ?= 10
bench-storage: ## storage beside plain sled and a bare sync loop, sled and fjall as base; see BENCHMARKS.md
	$(CARGO) build --release -p storage --example bench
	target/release/examples/bench --sustained $(SUSTAINED)

bench-replication: ## majority beside w:1 on three members, lag, initial sync; see BENCHMARKS.md
	$(CARGO) build --release --bins
	target/release/bench replication

# PyMongo as the client; all raw gaps in target/bench/failover.json.
TRIALS ?= 50
bench-failover: ## how long a writing client stands still: kill -9, SIGSTOP, step-down; see BENCHMARKS.md
	$(CARGO) build --release --bins
	$(VENV)/bin/python $(CLIENTS)/python/bench_failover.py --bin-dir target/release --trials $(TRIALS)

# KILLS processes ended at named places and random moments, and the models with many more cases.
KILLS ?= 20000
CASES ?= 20000
campaign-storage: ## crashes and models of storage, by the thousand
	SHOAL_STORAGE_KILLS=$(KILLS) $(CARGO) test --profile $(PROFILE) -p storage --test crash -- --nocapture
	PROPTEST_CASES=$(CASES) $(CARGO) test --profile $(PROFILE) -p storage --lib interleaving

# SEEDS of the simulated network, but at most SECONDS of them; then SECONDS for each workload. Nothing is skipped here.
SECONDS ?= 600
SEEDS   ?= 5000
campaign-replication: build-verify ## replica sets under faults: SEEDS simulated, then PyMongo; SECONDS for each workload
	SHOAL_SEEDS=$(SEEDS) SHOAL_SECONDS=$(SECONDS) \
		$(CARGO) test --profile $(PROFILE) -p repl --lib simulation::acknowledged -- --nocapture
	SHOAL_REQUIRE_CLIENTS=1 SHOAL_REQUIRE_NAMESPACES=1 SHOAL_NEMESIS_SECONDS=$(SECONDS) \
		$(CARGO) test --profile $(PROFILE) -p tests --test replica_nemesis -- --nocapture --test-threads 1
