# make results   sets up .venv from the lock file and runs the default workflow
# make test      sets up .venv and passes the tests
# make faults    kills runs and damages inputs, a thousand times and more: see docs/faults.md
# make lint      runs all static checks
# make docs      builds the documentation site; open build/site/index.html
# make install EXTRAS=gpu    (slurm, "gpu slurm") puts CUDA or the Slurm executor into .venv too
# make lock      renews the lock files and envs/ after a change of pyproject.toml;
#                with UPGRADE=--upgrade to the newest versions that it allows
# make config-docs  writes the schema and the tables of config/README.md after a key has changed
# make mutants MODULE=data/plan TESTS=tests/data/test_plan.py
#                changes one operator or number at a time and prints the changes that no test notices
# make clean     removes results (but not resources, which may be long downloads)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: results test faults lint docs install config-docs lock mutants clean

PYTHON ?= python3
CORES ?= 4
# What was asked for last stays installed.
EXTRAS ?= $(shell cat .venv/.extras 2> /dev/null)
LOCKS := requirements.lock $(EXTRAS:%=requirements-%.lock)
COMPILE := uv pip compile pyproject.toml --python-version 3.11 --no-emit-index-url --no-header --quiet
CONDA := sed -e '1i channels: [conda-forge, nodefaults]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:' \
    -e 's/^/      - /'

# Tools call each other by name.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

results: .venv/.installed
	snakemake --cores $(CORES) --resources gpu=1

# Runs of the whole workflow first: one worker is busy with them while the other takes the rest.
test: .venv/.installed
	python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
	    tests/workflow $(filter-out tests/workflow, $(wildcard tests/*))

faults: .venv/.installed
	python -m pytest -m slow tests/faults

lint: .venv/.installed
	ruff check .
	ruff format --check .
	mypy --strict src
	snakefmt --check Snakefile workflow
	snakemake --lint

docs: .venv/.docs
	mkdocs build --strict

# The site's tools come on top of what .venv has, so that `make results` does not wait for them.
.venv/.docs: requirements-docs.lock .venv/.installed
	uv pip install --python .venv/bin/python --require-hashes --requirements requirements-docs.lock
	touch $@

# uv installs the lock in seconds; pip, its fallback, takes minutes. Both check every hash.
.venv/.installed: $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 11, 4) <= sys.version_info < (3, 14) or sys.exit( \
	    "Python 3.11.4 or later, 3.12 or 3.13 is needed: make PYTHON=python3.12 ...")'
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	awk '/^[^ ]/ {wanted = /^uv==/} wanted' requirements.lock > .venv/uv.txt
	if python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.txt; then \
	    uv pip sync --python .venv/bin/python --require-hashes --compile-bytecode $(LOCKS); \
	else \
	    python -m pip install --require-hashes --no-deps $(LOCKS:%=-r %); \
	fi
	python -m pip install --quiet --no-deps --no-build-isolation --editable .
	echo "$(EXTRAS)" > .venv/.extras
	touch $@

install:
	rm -f .venv/.installed
	$(MAKE) --no-print-directory EXTRAS="$(EXTRAS)" .venv/.installed

config-docs: .venv/.installed
	python -m dualad.design.documentation

lock:
	$(COMPILE) $(UPGRADE) --extra dev --universal --generate-hashes --output-file requirements.lock
	for extra in gpu slurm docs; do \
	    $(COMPILE) --extra dev --extra $$extra --universal --generate-hashes \
	        --constraint requirements.lock --output-file requirements-$$extra.lock; \
	done
	$(COMPILE) --no-annotate --constraint requirements.lock | $(CONDA) > envs/cpu.yaml
	$(COMPILE) --no-annotate --constraint requirements-gpu.lock --extra gpu | $(CONDA) > envs/gpu.yaml

# cosmic-ray comes in an environment of its own; the tests run in .venv.
MODULE ?= data/plan
TESTS ?= tests/$(dir $(MODULE))
MUTANTS := build/mutants/$(MODULE)
COSMIC_RAY := uvx --from cosmic-ray==8.7.0

mutants: .venv/.installed
	mkdir -p $(dir $(MUTANTS))
	printf '%s\n' '[cosmic-ray]' 'module-path = "src/dualad/$(MODULE).py"' 'timeout = 300.0' \
	    'excluded-modules = []' \
	    'test-command = ".venv/bin/python -m pytest --exitfirst -p no:cacheprovider $(TESTS)"' \
	    '[cosmic-ray.distributor]' 'name = "local"' \
	    '[cosmic-ray.filters.operators-filter]' \
	    'exclude-operators = ["core/ReplaceBinaryOperator_BitOr_.*", ".*_Is", ".*_IsNot"]' \
	    > $(MUTANTS).toml
	$(COSMIC_RAY) cosmic-ray baseline $(MUTANTS).toml
	$(COSMIC_RAY) cosmic-ray init --force $(MUTANTS).toml $(MUTANTS).sqlite
	$(COSMIC_RAY) cr-filter-operators $(MUTANTS).sqlite $(MUTANTS).toml
	nice $(COSMIC_RAY) cosmic-ray exec $(MUTANTS).toml $(MUTANTS).sqlite
	$(COSMIC_RAY) cr-report --surviving-only --show-diff $(MUTANTS).sqlite

clean:
	rm -rf results
