# make demo       set up, search MAD architectures with a control proposer (no key, no GPU), extrapolate, report
# make demo-train set up, pretrain a tiny language model on the built-in stories, and sample from it
# make test       set up, run the default tests (at most 6 minutes on 2 cores)
# make test-slow  the slow tests alone
# make test-all   both
# make lint       style, and the floors of the house: imports run down
# make h200       the compiler of H200s, for machines without one (extra h200), its table of the kernels, and its tests
# make lock       resolve pyproject.toml anew into requirements.lock
unexport PYTHONDONTWRITEBYTECODE  # where it is set, every process compiles jax anew: 3 s for each of some hundred
PYTHON ?= python3
PY := .venv/bin/python
UV := .venv/bin/uv
WORKDIR ?= runs
DEMO := NeuralArchitectureSearchMAD2PrimitivesAccuracy/greedy-control.evolution/seed_0

.PHONY: setup demo demo-train test test-slow test-all lint h200 lock clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@test -x $(UV) || $(PY) -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@$(UV) pip install --quiet --require-hashes --python $(PY) -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(PY) -e .
	@touch $@

demo: setup
	$(PY) scripts/search.py --config=configs/search.py:demo --workdir=$(WORKDIR)/demo
	$(PY) scripts/campaign.py --runs=$(WORKDIR)/demo --out=$(WORKDIR)/demo/campaign
	@$(PY) scripts/report.py --run=$(WORKDIR)/demo/$(DEMO)

demo-train: setup
	$(PY) scripts/train.py --config=configs/pretrain.py:debug --workdir=$(WORKDIR)/demo-train
	@$(PY) scripts/generate.py --workdir=$(WORKDIR)/demo-train --prompt=Once --max_new_tokens=64 --temperature=0

test: setup
	$(PY) -m pytest -n 2 --dist=loadfile

test-slow: setup
	$(PY) -m pytest -n 2 --dist=loadfile -m slow

test-all: setup
	$(PY) -m pytest -n 2 --dist=loadfile -m ''

lint: setup
	$(PY) -m ruff check .
	.venv/bin/lint-imports --no-cache --no-logo

h200: setup
	@jax=$$($(PY) -c 'import jax; print(jax.__version__)'); $(UV) pip install --quiet --no-deps --python $(PY) \
	  jax-cuda12-plugin==$$jax jax-cuda12-pjrt==$$jax 'nvidia-cuda-nvcc-cu12>=12.9,<13' 'nvidia-cudnn-cu12>=9.8,<10'
	for shape in 350M 1B 3B; do $(PY) scripts/h200_kernels.py --shape=$$shape --record || exit 1; done
	$(PY) -m pytest -n 0 -m '' tests/h200

lock: setup
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra dev --extra bo pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv build *.egg-info
