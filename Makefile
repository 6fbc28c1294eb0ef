# One virtual environment, built from the lock file; every target sets it up first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Of `make faults` and `make fuzz`.
SEED    ?= 1
ROUNDS  ?= 100
RECORDS ?= 200000

# Processes of `make test`, each with servers of its own. One more than cores, as tests often wait.
WORKERS ?= 3

# Of `make fuzz-api`.
EXAMPLES ?= 100

.PHONY: help setup check test test-large test-unit image-test release-check faults fuzz fuzz-api bench bench-ingest bench-beside bench-reads bench-replay bench-sweep bench-truth bench-webhooks soak demo demo-reset format lock clean

help:            ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install everything into .venv

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "account-health needs Python 3.11 or newer; run 'make PYTHON=python3.12 $(MAKECMDGOALS)'"; exit 1; }
	@echo "Installing into $(VENV), once: a minute or two."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --progress-bar on --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

check: $(STAMP)  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: $(STAMP)   ## all tests, on a real PostgreSQL and a real Apache Kafka: WORKERS=3
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=25

test-large:      ## all tests, with seeded runs as large as a nightly run takes: half an hour
	HEALTH_TEST_SIZE=large $(MAKE) test

test-unit: $(STAMP) ## the tests that start no server
	$(BIN)/pytest -n $(WORKERS) --dist loadfile tests/unit tests/property

image-test: $(STAMP) ## build the image, and run its processes against a real Postgres and Kafka (root; apt: buildah debootstrap)
	$(BIN)/pytest tests/deploy/test_image_runs.py

release-check: $(STAMP) ## build wheel and sdist into dist/, install the wheel in an empty environment, run its commands
	RELEASE_CHECK=1 $(BIN)/pytest tests/deploy/test_release.py tests/unit/deploy/test_version.py

faults: $(STAMP) ## kill, pause and restart while events are folded, for as long as you like: SEED=1 ROUNDS=100
	FAULTS_SEED=$(SEED) FAULTS_ROUNDS=$(ROUNDS) $(BIN)/pytest tests/faults/test_faults.py -o log_cli=true --log-cli-level=INFO

fuzz: $(STAMP)   ## fold damaged records: SEED=1 RECORDS=200000
	FUZZ_SEED=$(SEED) FUZZ_RECORDS=$(RECORDS) $(BIN)/pytest tests/faults/test_fuzz.py -o log_cli=true --log-cli-level=INFO

fuzz-api: $(STAMP) ## requests made of the API's own description: EXAMPLES=100 SEED=1
	FUZZ_API_SEED=$(SEED) FUZZ_API_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/acceptance/test_api_fuzz.py -o log_cli=true --log-cli-level=INFO

bench: bench-ingest bench-reads bench-sweep bench-webhooks ## all of them, an hour: BENCH='--write' keeps the results

bench-ingest: $(STAMP) ## ingest beside bare aiokafka, Quix Streams and Kafka Streams; BENCH='--help' for options
	@$(BIN)/python -m benchmarks.ingest $(BENCH)

bench-beside: $(STAMP) ## ingest of this version and of an earlier one at the same time: BENCH='COMMIT'
	@$(BIN)/python -m benchmarks.versions $(BENCH)

bench-reads: $(STAMP) ## one account's health beside a bare route, and lists of a million accounts
	@$(BIN)/python -m benchmarks.reads $(BENCH)

bench-replay: $(STAMP) ## days of accounts judged a second by replays of a log
	@$(BIN)/python -m benchmarks.replay $(BENCH)

bench-sweep: $(STAMP) ## the nightly sweep of a million accounts, while their health is read
	@$(BIN)/python -m benchmarks.sweep $(BENCH)

soak: $(STAMP)   ## the whole service under load for ten minutes; BENCH='--help' for options
	@$(BIN)/python -m benchmarks.soak $(BENCH)

bench-truth: $(STAMP) ## how well scores rank those who leave, beside a plain count and gradient boosting
	@$(BIN)/python -m benchmarks.truth $(BENCH)

bench-webhooks: $(STAMP) ## deliveries of one process, and the time from an event to its webhook
	@$(BIN)/python -m benchmarks.webhooks $(BENCH)

demo: $(STAMP)   ## the whole service on embedded Postgres and broker, with made-up customers
	@$(BIN)/account-health demo

demo-reset: $(STAMP) ## forget the demo's data
	@$(BIN)/account-health demo --reset

format: $(STAMP) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-find-links --no-emit-index-url --quiet

lock:            ## renew requirements.lock, and the image's, from pyproject.toml (needs uv)
	$(LOCK) --all-extras --upgrade pyproject.toml -o requirements.lock
	$(LOCK) --extra otel --no-annotate -c requirements.lock pyproject.toml -o deploy/requirements.lock
	echo 'hatchling>=1.27' | $(LOCK) --no-annotate - -o deploy/build.lock

clean:           ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
