# `make demo` and `make test` set up all they need on a fresh Debian or Ubuntu machine.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed-$(shell pwd | cat - pyproject.toml | sha256sum | cut -c1-12)
SESSIONS ?= 2000
PROBLEM ?= How many positive integers less than 1000 are divisible by neither 7 nor 11?

.PHONY: help demo test lint setup docker image browser model bench-replay bench-agent bench-verification bench-doubts \
  bench-independence bench-sandbox bench-grading bench-view soak-sandbox clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: setup model ## set everything up, solve one problem, evaluate five
	$(BIN)/tora solve --model local "$(PROBLEM)"
	$(BIN)/tora eval sample --model local --limit 5

test: setup browser ## set everything up, run all tests
	$(BIN)/tora fetch-model qwen2.5-coder-0.5b
	$(BIN)/pytest -n 3 --dist loadfile

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: docker $(INSTALLED) image ## what both need: the package, a Docker Engine, the sandbox image

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed; set PYTHON=python3.x" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh scripts/venv.sh
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@rm -f .venv/.installed-* && touch $@

docker: ## make sure that a Docker Engine answers
	@sh scripts/docker.sh

image: docker $(INSTALLED) ## build the sandbox image if it is missing
	$(BIN)/tora sandbox build

browser: ## get a Chromium for the viewer's tests if there is none
	@sh scripts/browser.sh

model: $(INSTALLED) ## get the embedded model (1.1 GB) if it is missing
	$(BIN)/tora fetch-model

bench-replay: setup ## recorded cells through the sandbox: FILE=trajectories.jsonl
	$(BIN)/python -m tests.bench.replay $(FILE)

bench-sandbox: setup ## how fast the sandbox is, beside plain kernels and containers: ARGS="--quick" | "--profile"
	$(BIN)/python -m tests.bench.sandbox $(ARGS)

soak-sandbox: setup ## sessions and attacks while a private Docker Engine and all else is killed: SESSIONS=2000, as root
	$(BIN)/python -m tests.bench.soak --sessions $(SESSIONS)

bench-agent: setup ## what the agent itself costs, beside a bare loop: ARGS="--latency 5 --concurrency 64"
	$(BIN)/python -m tests.bench.agent $(ARGS)

bench-verification: $(INSTALLED) ## what each part of the verification brings, on a run with checks: RUN=runs/...
	$(BIN)/python -m tests.bench.verification $(RUN)

bench-doubts: $(INSTALLED) ## how often each rule that doubts an answer is right: FILE=trajectories.jsonl
	$(BIN)/python -m tests.bench.doubts $(FILE)

bench-independence: $(INSTALLED) ## how well repeated checks are found: FILE=trajectories.jsonl
	$(BIN)/python -m tests.bench.independence $(FILE)

bench-grading: $(INSTALLED) ## our grader beside others' rules: FILE=cases.jsonl ARGS="--outputs trajectories.jsonl"
	$(BIN)/python -m tests.bench.grading $(FILE) $(ARGS)

bench-view: $(INSTALLED) ## how fast 32,000 trajectories are indexed, opened and filtered: ARGS="--problems 500 --samples 64"
	$(BIN)/python -m tests.bench.view $(ARGS)

clean: ## remove what `make` made here; the caches and the image stay
	rm -rf .venv build dist *.egg-info
