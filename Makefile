# Developer's entry points; every target works alone from a clean clone.
# Everything generated stays in .venv, .lab and .cache.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:

ROOT := $(CURDIR)
COLLECTION := $(ROOT)/.venv/collections/ansible_collections/mailhost/hardening
SCENARIO ?=
RELEASE ?=

export PATH := $(ROOT)/.venv/bin:$(PATH)

export ANSIBLE_COLLECTIONS_PATH := $(ROOT)/.venv/collections
export ANSIBLE_CONFIG := $(ROOT)/molecule/_lab/ansible.cfg
export ANSIBLE_HOME := $(ROOT)/.cache/ansible
export MOLECULE_GLOB := molecule/*/molecule.yml
export PYTHONPYCACHEPREFIX := $(ROOT)/.cache/pycache
export RUFF_CACHE_DIR := $(ROOT)/.cache/ruff
export MYPY_CACHE_DIR := $(ROOT)/.cache/mypy
export HYPOTHESIS_STORAGE_DIRECTORY := $(ROOT)/.cache/hypothesis
export PYTHONUNBUFFERED := 1

.PHONY: help demo test lint unit molecule bench clean cores lab sanity

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: .venv/.stamp ## Harden three mail hosts in containers and show what packets and mail get
	@scripts/lab-engine
	@scripts/with-lab python molecule/_lab demo

test: .venv/.stamp ## Everything that must pass: lint, unit, molecule, demo
	@scripts/stages lint+unit molecule demo

lint: .venv/.stamp ## Linters, types, specs, changelog and ansible-test sanity
	@scripts/lint

sanity: .venv/.stamp ## ansible-test sanity alone
	@scripts/sanity

unit: .venv/.stamp ## Unit tests
	@cd $(COLLECTION) && python -m pytest -n 4 -o cache_dir=$(ROOT)/.cache/pytest tests/unit

molecule: .venv/.stamp ## All scenarios on all their releases, or SCENARIO=default, or RELEASE=trixie
	@scripts/lab-engine
	@scripts/with-lab python molecule/_lab test $(SCENARIO) $(if $(RELEASE),--release $(RELEASE))

bench: .venv/.stamp ## Measure the role in the lab
	@scripts/lab-engine
	@scripts/with-lab python molecule/_lab up
	@PYTHONPATH=$(ANSIBLE_COLLECTIONS_PATH) scripts/with-lab python tests/bench/bench_mapping.py
	@scripts/with-lab python -m pytest -o cache_dir=$(ROOT)/.cache/pytest -s tests/bench

cores: .venv/.stamp ## Variables of roles and playbooks on older releases of ansible-core
	@scripts/core-matrix 2.14 2.16 2.18

lab: .venv/.stamp ## Bring the lab up and leave it
	@scripts/lab-engine
	@scripts/with-lab python molecule/_lab up

clean: ## Remove every trace: the lab of the machine (also of other checkouts), .venv, .lab, .cache
	@scripts/clean

.venv/.stamp: requirements/dev.txt scripts/bootstrap
	@scripts/bootstrap
