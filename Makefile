# Everything runs from .venv, made by `make setup` with uv when it is there and with venv + pip otherwise.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fuzz corpus interleavings month kills ledger-test outage-test overload-test bench \
	bench-forecast bench-anomaly bench-peers clean
PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.ready
DEV := .venv/.ready-dev
EXTRA_TESTS ?=
JOBS ?= 2

help:  ## What you can ask for
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(DEV)  ## Install everything into .venv: what runs, and what tests and checks need

# A lock file into .venv, and this project on top.
define install
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
		uv pip install --quiet --require-hashes -r $(1) && uv pip install --quiet --no-deps --editable .; \
	else \
		$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(1) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .; \
	fi
endef

$(RUN): pyproject.toml requirements.lock
	$(call install,requirements.lock)
	@touch $@

$(DEV): pyproject.toml requirements-dev.lock
	$(call install,requirements-dev.lock)
	@touch $(RUN) $@

demo: $(RUN)  ## Run the whole path on the embedded store (DEMO_ONCE=1 ends after the report)
	@$(BIN)/tokentide demo $(if $(DEMO_ONCE),--once)

test: $(DEV)  ## Run every test
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(EXTRA_TESTS)

check: $(DEV)  ## Lint, types, import rules, generated documents
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy && $(BIN)/mypy deploy/litellm/tokentide_callback.py
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python -m grafana.generate --check

corpus: $(DEV)  ## Every real export of the corpus beside what happened: a table per producer
	@$(BIN)/python -m tests.corpus.table

fuzz: $(DEV)  ## Mutated inputs to decode path and doors (INPUTS=2000000 REQUESTS=200000 SEED=1 JOBS=2)
	@POLARS_MAX_THREADS=1 $(BIN)/python -m tests.fuzz --jobs $(JOBS) $(if $(INPUTS),--inputs $(INPUTS)) \
		$(if $(REQUESTS),--requests $(REQUESTS)) $(if $(SEED),--seed $(SEED))

interleavings: $(DEV)  ## 10,000 random orders, repetitions and splits of what is observed: no total differs
	@$(BIN)/python -m pytest -q --hypothesis-profile=interleavings --hypothesis-show-statistics --timeout 0 \
		tests/unit/processors/test_post.py -k any_order

month: $(DEV)  ## Replay a month of alerts with nightly batches, an overrun and a spike planted (minutes)
	@$(BIN)/python -m pytest -q -m long tests/e2e/test_month.py

kills: $(DEV)  ## 54 times kill -9 at named points and random moments, and a shutdown with the time limits as shipped (minutes)
	@$(BIN)/python -m pytest -q -m long tests/crash

ledger-test: $(DEV)  ## Kill, freeze, fill and repeat for SECONDS=600 with SEED=1: lost 0, charged twice 0, the sum exact
	@$(BIN)/python -m tests.crash.ledger --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

outage-test: $(DEV)  ## SPANS=3600000 (an hour of 1,000/s) while ClickHouse is dead: spool, memory, drain
	@$(BIN)/python -m benchmarks.outage $(SPANS)

overload-test: $(DEV)  ## Five times the capacity for SECONDS=30: answers, goodput, memory, recovery
	@$(BIN)/python -m benchmarks.overload $(SECONDS)

bench: $(DEV)  ## Measure throughput, stages, memory, ack latency
	@$(BIN)/python -m benchmarks.posting
	@$(BIN)/python -m benchmarks.pipeline
	@$(BIN)/python -m benchmarks.ack_latency
	@$(BIN)/python -m benchmarks.redaction

bench-peers: $(DEV)  ## Beside the Collector, rotel and Phoenix (benchmarks/peers/install.sh): PEERS="collector rotel" SPANS=100000 ROUNDS=3
	@$(BIN)/python -m benchmarks.peers $(PEERS) --spans $(or $(SPANS),100000) --rounds $(or $(ROUNDS),1)

bench-forecast: $(DEV)  ## Measure forecasts on DATA=<M4 series as CSV> (EVERY=5: each fifth)
	@test -n "$(DATA)" || { echo "usage: make bench-forecast DATA=path/to/hourly.csv"; exit 2; }
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.forecast $(DATA) $(if $(EVERY),--every $(EVERY))

bench-anomaly: $(DEV)  ## NAB's score of the anomaly detector and two others: DATA=<directory with windows.json>
	@$(BIN)/python -m benchmarks.anomaly $(DATA)

clean:  ## Remove what make made
	rm -rf .venv tokentide-demo
