# Set-up, figures and tests in one command each. All are safe to repeat.
#   make figures [SCALE=smoke|paper]   make plan [SCALE=smoke|paper]   make test   make test-all
#   make test-slurm   make env   make bench   make clean

PYTHON ?= python3
SCALE ?= laptop
BIN := .venv/bin
OVERLAY := $(if $(filter laptop,$(SCALE)),,--configfile workflow/scales/$(SCALE).yaml)
# One thread per job unless a rule asks for more; torch takes its number from config.
export OMP_NUM_THREADS ?= 1
# Inside the environment, `snakemake` and the scripts' `python` are its own.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: env figures test test-all test-slurm plan lint bench clean

env: .venv/installed

.venv/installed: envs/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.12, say")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement envs/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

figures: env
	snakemake --cores all $(OVERLAY)

test: env lint
	$(BIN)/python -m pytest -m "not slow"

test-all: env lint
	$(BIN)/python -m pytest

# A SLURM on this machine, from Debian's packages: root only, and never where there is a cluster.
test-slurm: env
	command -v slurmctld >/dev/null || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge; }
	$(BIN)/python -m pytest tests/slurm

# Jobs, core-hours, memory and disk of a scale, before it runs.
plan: env
	@snakemake --dry-run --forceall $(OVERLAY) 2>&1 | \
	  $(BIN)/python -m hessian_rmt.plan config.yaml $(filter-out --configfile,$(OVERLAY))

lint: env
	$(BIN)/ruff check workflow tests benchmarks
	$(BIN)/ruff format --check workflow tests benchmarks
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	snakemake --lint

.venv-peers/installed: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt
	.venv-peers/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

# Goals and peers in one table, results/benchmarks/bench.csv; FULL=--full for the rows of many minutes.
bench: env .venv-peers/installed
	snakemake --cores 1 --quiet all -- data/mnist/train-images-idx3-ubyte data/fashion_mnist/train-images-idx3-ubyte
	OMP_NUM_THREADS=2 .venv-peers/bin/python benchmarks/outliers.py
	OMP_NUM_THREADS=2 .venv-peers/bin/python benchmarks/convolutional.py
	OMP_NUM_THREADS=2 .venv-peers/bin/python benchmarks/outlier_fits.py
	OMP_NUM_THREADS=2 .venv-peers/bin/python benchmarks/exact.py data/mnist results/benchmarks/exact.csv $(FULL)
	OMP_NUM_THREADS=1 .venv-peers/bin/python benchmarks/free_convolution.py
	OMP_NUM_THREADS=1 .venv-peers/bin/python benchmarks/extreme.py results/benchmarks/extreme.csv $(FULL)
	OMP_NUM_THREADS=1 .venv-peers/bin/python benchmarks/critical_points.py
	OMP_NUM_THREADS=1 .venv-peers/bin/python benchmarks/growth.py
	.venv-peers/bin/python benchmarks/gpu.py
	.venv-peers/bin/python benchmarks/bench.py

clean:
	rm -rf results .snakemake
