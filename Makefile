# make demo | test | check | bench | bench-review | fashion | sample | qc-examples | format. Everything happens in .venv; the stamp files make a second call fast.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
UV := $(BIN)/uv
EXTRAS := --extra dev --extra ocr --extra parquet --extra postgres

export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1

.PHONY: demo test check bench bench-review fashion sample qc-examples format lint types contracts lock clean

demo: $(VENV)/.core
	$(BIN)/qcgen run jobs/demo.yaml

test: $(VENV)/.dev
	$(BIN)/pytest

check: lint types contracts test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# The review desk alone, about five minutes: eight reviewers beside a batch, and a million tasks.
bench-review: $(VENV)/.dev
	$(BIN)/python -m benchmarks reviewstore

# Divergences on Fashion-MNIST: about two hours on two cores. A second call goes on where the first was stopped.
fashion: $(VENV)/.dev
	$(BIN)/python -m benchmarks.fashion.pack
	[ -d out/fashion/teacher/unet ] || $(BIN)/qcgen train jobs/fashion/teacher.yaml
	[ -f out/fashion/clip/open_clip_model.safetensors ] || $(BIN)/qcgen train jobs/fashion/clip.yaml
	$(BIN)/python -m benchmarks.fashion.compare

# The committed sample is the report of the demo; its full-size pictures are not committed.
sample: $(VENV)/.core
	rm -rf out/sample reports/sample
	mkdir -p out/sample
	$(BIN)/qcgen run jobs/demo.yaml --db sqlite:///out/sample/qcgen.db --out out/sample/run || [ $$? -eq 1 ]
	cp -r "$$(ls -td reports/*/ | head -1)" reports/sample

# Pictures and page of the detectors; the pictures are the embedded student's own.
qc-examples: $(VENV)/.dev
	$(BIN)/python -m benchmarks.qc_examples

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The locks are written by uv pip compile rather than as uv.lock, which would record the address of the package index.
lock: $(UV)
	$(UV) pip compile pyproject.toml $(EXTRAS) --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --quiet -o requirements-dev.lock
	$(UV) pip compile pyproject.toml -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --quiet -o requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "qcgen needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# The editable install is a plain .pth line (compat): setuptools' import hook would cost every start of qcgen 30 ms.

# The runtime packages. Installed, not synced: a developer's extras in the same .venv stay.
$(VENV)/.core: requirements.lock pyproject.toml | $(UV)
	$(UV) pip install --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet -C editable_mode=compat -e .
	touch $@

# The runtime packages and the developer's, exactly: what is in neither lock is removed (uv and pip stay).
$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(UV)
	$(UV) pip sync --python $(BIN)/python --require-hashes requirements-dev.lock
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet -C editable_mode=compat -e .
	touch $(VENV)/.core $@
