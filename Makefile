# Everything a newcomer needs: `make demo`, `make test`. `make help` lists the rest.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
SAMPLE := build/sample-lecture.mp4
VIDEO ?= $(SAMPLE)

# The first Python that will do, or the one named: make PYTHON=/path/to/python install
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$python && break; done)

# Helm, for the tests of the chart: npm has it, in a package for AWS Lambda.
HELM := .tools/helm/helm
HELM_PACKAGE := lambda-layer-kubectl-v31
HELM_VERSION := 2.1.0
HELM_SHA256 := a7fa5e77633af9586721f287c76369322cc398a1966ccdfb6bbca0383e11f65b

.PHONY: help install training demo test services debian check format charts lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 18

install: $(VENV)/.worker  ## producer, worker and training in .venv/bin (no TensorFlow)

training: $(VENV)/.training  ## TensorFlow and Keras as well, to fit and quantize models

demo: $(VENV)/.demo $(if $(filter $(SAMPLE),$(VIDEO)),$(SAMPLE))  ## run a sample lecture, or your own: make demo VIDEO=lecture.mp4
	@$(BIN)/producer ingest "$(VIDEO)"

test: check  ## the whole suite, and what it needs
	@$(BIN)/python -m pytest --numprocesses $$(($$(nproc) + 1)) --dist loadfile  # tests wait for a third of their time

services: debian $(HELM)  ## Debian's packages (as root) and Helm, for the tests that skip without them

debian:
	@{ command -v redis-server && command -v chromium && command -v promtool; } >/dev/null || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends redis-server chromium prometheus >/dev/null; }

$(HELM):
	@command -v npm >/dev/null || { echo "Helm is fetched by npm, and npm is not installed; without it the tests of the chart skip"; exit 1; }
	@rm -rf .tools && mkdir .tools
	@cd .tools && npm pack --silent @aws-cdk/$(HELM_PACKAGE)@$(HELM_VERSION) >/dev/null
	@cd .tools && echo "$(HELM_SHA256)  aws-cdk-$(HELM_PACKAGE)-$(HELM_VERSION).tgz" | sha256sum --check --quiet
	@cd .tools && tar -xzf *.tgz package/lib/layer.zip && $(PYTHON) -m zipfile -e package/lib/layer.zip . && rm -r package *.tgz kubectl
	@chmod +x $@

check: $(VENV)/.dev  ## style, types, import directions, known dangers, and packages that do not fit together
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive worker producer training
	@$(BIN)/python -m pip --disable-pip-version-check check

format: $(VENV)/.dev  ## format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

charts: $(VENV)/.dev  ## make anew what draws the report's charts, after a change of charts.py or vl-convert
	@$(BIN)/python -m producer.reading.report.bundling

lock: $(VENV)/.python  ## pin anew what is tested, in constraints.txt
	@$(PIP) uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --upgrade --all-extras --no-header \
		--no-annotate pyproject.toml --output-file constraints.txt

clean:  ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "LecturePulse needs Python 3.10, 3.11 or 3.12, and none was found; install one, or name it: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 12) or sys.exit("LecturePulse needs Python 3.10, 3.11 or 3.12, but $(PYTHON) is %d.%d; name another: make PYTHON=/path/to/python3.11" % v)'
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.worker: $(VENV)/.python pyproject.toml constraints.txt
	@$(PIP) --editable .
	@touch $@

$(VENV)/.demo: $(VENV)/.worker
	@$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.training: $(VENV)/.worker
	@$(PIP) --editable '.[training]'
	@touch $@

$(VENV)/.dev: $(VENV)/.worker
	@$(PIP) --editable '.[training,demo,dev]'
	@touch $@

$(SAMPLE): $(VENV)/.demo tests/gallery.py
	@$(BIN)/python -m tests.gallery $@
