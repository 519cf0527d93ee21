# `make help` lists what there is. Every target sets up what it needs.
PYTHON ?= python3
PORT ?= 5000
LOCK := $(if $(LIGHT),.venv/without-tensorflow.txt,requirements.lock)
BIN := $(CURDIR)/.venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
export PATH := $(BIN):$(PATH)
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help repro verify test test-long test-services test-processors attack lint bench ui experiments lock clean

help:  ## list all targets
	@sed -n 's/^\([a-z-]*\): .*##/  make \1\t/p' Makefile

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("error: this needs Python 3.11 to 3.13, not " + sys.version.split()[0] + "; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	@[ -z "$(LIGHT)" ] || sed '/^tensorflow==/,/[^\\]$$/d' requirements.lock > $(LOCK)
	"$(BIN)/python" -m pip install --quiet --require-hashes --no-deps -r $(LOCK)
	@[ -z "$(LIGHT)" ] || "$(BIN)/python" -m pip install --quiet --no-deps \
		"tensorflow-cpu$$(sed -n 's/^tensorflow\(==[0-9.]*\).*/\1/p' requirements.lock)"
	"$(BIN)/python" -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

repro: .venv/ready  ## run the study: every stage that a change to params.yaml, conf/ or the code affects
	@git rev-parse --git-dir > /dev/null 2>&1 || \
		{ echo 'error: DVC needs a git repository here: install git and run `git init`. The stages by hand need neither.' >&2; exit 1; }
	dvc repro
	@python -m pipeline.verify | sed -n 1p  # how far the results agree with those committed; never a reason to fail

verify: .venv/ready  ## compare the results with those committed (LEVEL=bytes, AGAINST=HEAD; docs/reproduce.md)
	python -m pipeline.verify level=$(or $(LEVEL),bytes) "against='$(or $(AGAINST),HEAD)'"

test: .venv/ready  ## run the tests, except those of the next three targets
	python -m pytest

test-long: .venv/ready  ## run the tests that take long
	python -m pytest -m long

test-services: .venv/ready  ## run the tests on real servers (PROCESSES=0: one at a time; installs PostgreSQL, Chromium, on Debian as root)
	@(ls /usr/lib/postgresql/*/bin/initdb && command -v chromium) > /dev/null 2>&1 || \
		(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy postgresql chromium)
	python -m pip install --quiet --require-hashes --no-deps -r requirements-services.lock
	python -m pytest -m service --numprocesses=$(or $(PROCESSES),2)

test-processors: .venv/ready  ## compare each result with that of an emulated processor (SOME=1: minutes; EACH=1: of three)
	@command -v qemu-x86_64 > /dev/null 2>&1 || \
		(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy qemu-user)
	python -m pytest -m emulated --numprocesses=0 -k $(if $(SOME),some,$(if $(EACH),every,each))_result

attack: .venv/ready  ## set parameters to random values, and kill stages at random moments (ROUNDS=500 of each)
	ROUNDS=$(or $(ROUNDS),500) python -m pytest -m long --numprocesses=0 tests/test_attack.py

lint: .venv/ready  ## check style, types, and which parts of the code import which
	ruff check .
	ruff format --check .
	mypy
	lint-imports

bench: .venv/ready .venv-baselines/ready  ## compare the speed with alternatives (about two hours; PARTS="epoch limit", ROUNDS=3)
	python benchmarks/bench.py $(PARTS) --rounds $(or $(ROUNDS),3)

.venv-baselines/ready: benchmarks/requirements-baselines.txt
	$(PYTHON) -m venv .venv-baselines
	.venv-baselines/bin/python -m pip install --quiet -r benchmarks/requirements-baselines.txt
	@touch $@

ui: .venv/ready  ## add missing runs to MLflow from the result files, and serve its UI (PORT=5000)
	python -m pipeline.ui port=$(PORT)

experiments: .venv/ready  ## compare DVC's experiments: the settings that differ, key mass and held-out score
	dvc exp show --only-changed --drop '.*(hit_rate|late_mass)$$|src/|(data|models|attention|controls|definitions)(/|$$)'

lock: .venv/ready  ## update requirements.lock, for all operating systems
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock
	cp requirements.lock requirements-services.lock  # so that both agree
	uv pip compile pyproject.toml --extra dev --extra services --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements-services.lock

clean:  ## remove the environments and the results of runs by hand; keep those of the study
	rm -rf .venv .venv-baselines outputs dvc_plots
