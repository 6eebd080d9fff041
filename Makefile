# One command each: run, test, check. `make help` lists them.
#
# .venv comes from the locks in envs/ and is kept in step with them; nothing else is needed than
# make, git and Python 3.11 to 3.13. What can be set: PYTHON, STUDY, CORES, GPU=1, ARGS,
# CHROMIUM, KILLS.

.DEFAULT_GOAL := run
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

CORES ?= 8
VENV := PYTHON='$(PYTHON)' sh tools/venv.sh
# Paths are relative, and the shell expands PWD: so the checkout's path may hold spaces.
IN_VENV := PATH="$$PWD/.venv/bin:$$PATH" &&

SNAKEFILES := Snakefile workflow
# A file's tests share what they make, so they stay with one of the processes.
PYTEST := python -m pytest --numprocesses 2 --dist loadfile
CHECKS := check-format check-code check-imports check-workflow-format check-workflow check-types check-generated
# Keeps the pins that still fit; ARGS=--upgrade takes the newest versions.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(ARGS)


## Use

.PHONY: run
run: $(if $(filter-out 0,$(GPU)),venv-gpu,venv) ## Run the study (STUDY=name, CORES=8, GPU=1, ARGS=…): the default
	@$(IN_VENV) snakemake $(if $(ARGS),$(ARGS) )--cores $(CORES) --resources gpu=1 \
		$(if $(STUDY),--config 'study=$(STUDY)')
	@$(if $(ARGS),exit 0; )$(IN_VENV) python -c 'import sys; from ablation.study.plan import load_config; \
		study = load_config({"study": name for name in sys.argv[1:]}).study; \
		print(f"Report: reports/{study}.html, and as text reports/{study}.md")' \
		$(if $(STUDY),'$(STUDY)')

.PHONY: data
data: venv ## Fetch and prepare the study's data sets and weights (STUDY=name), train nothing
	@$(IN_VENV) snakemake data $(if $(ARGS),$(ARGS) )--cores $(CORES) \
		$(if $(STUDY),--config 'study=$(STUDY)')

.PHONY: venv venv-gpu venv-dev
venv: ## Only make .venv, from envs/cpu.lock
	@$(VENV) cpu

venv-gpu: ## Make .venv with TensorFlow's CUDA libraries (Linux, NVIDIA)
	@$(VENV) gpu

venv-dev: ## Make .venv with the tools of what follows
	@$(VENV) dev


## Test and check

.PHONY: test
test: venv-dev ## Run all tests but those in a browser and of whole studies (ARGS goes to pytest)
	@$(IN_VENV) $(PYTEST) -m "not browser and not studies" $(ARGS)

.PHONY: test-unit test-workflow test-browser test-studies test-kill
test-unit: venv-dev ## Run those of them that do without Snakemake
	@$(IN_VENV) $(PYTEST) -m "not browser and not studies and not workflow" $(ARGS)

test-workflow: venv-dev ## Run the tests that run Snakemake as a whole
	@$(IN_VENV) $(PYTEST) -m "workflow and not studies" $(ARGS)

test-kill: venv-dev ## Kill a study at random instants and compare its bytes (KILLS=24)
	@$(IN_VENV) KILLS=$(or $(KILLS),24) python -m pytest tests/kill $(ARGS)

test-studies: venv-dev ## Run each study that ships, shrunken, on prepared data of the real form
	@$(IN_VENV) python -m pytest tests/studies $(ARGS)

test-browser: venv-dev ## Test the report in Chromium (Debian: installs it when run by root)
	@CHROMIUM=$$(CHROMIUM='$(CHROMIUM)' sh tools/chromium.sh) && export CHROMIUM && \
		$(IN_VENV) python -m pytest tests/report/browser $(ARGS)

.PHONY: check $(CHECKS)
check: venv-dev ## Check format, code, workflow, types and generated files; tells all that is wrong
	@$(MAKE) --no-print-directory --keep-going $(CHECKS)

check-format:
	@$(IN_VENV) ruff format --check .

check-code:
	@$(IN_VENV) ruff check .

check-imports:
	@$(IN_VENV) lint-imports

check-workflow-format:
	@$(IN_VENV) snakefmt --check $(SNAKEFILES)

check-workflow: # ends non-zero with any finding
	@$(IN_VENV) snakemake --lint

check-types:
	@$(IN_VENV) mypy

check-generated:
	@$(IN_VENV) python tools/conda_envs.py --check
	@$(IN_VENV) python tools/published.py --check
	@$(IN_VENV) python tools/results.py --check
	@$(IN_VENV) made=$$(mktemp -d) && trap 'rm -r "$$made"' EXIT && ablation schema "$$made" && \
		{ diff -ru workflow/schemas "$$made" || \
		{ echo "workflow/schemas is behind the code: run 'make schemas'" >&2; exit 1; }; }
	@$(IN_VENV) python -c 'import sys; from pathlib import Path; \
		from ablation.study.reference import with_reference; \
		text = Path("config/README.md").read_text(); \
		sys.exit(text != with_reference(text) and "config/README.md is behind the code: run make docs")'
	@echo "Generated files are what they are made from."


## Measure

.PHONY: benchmark-verdicts
benchmark-verdicts: venv-dev ## Show error and power of the rule that decides on simulated studies (ARGS=--quick)
	@$(IN_VENV) python benchmarks/rules.py $(ARGS)
	@$(IN_VENV) python benchmarks/verdicts.py $(ARGS)

.PHONY: benchmark-bytes
benchmark-bytes: venv-dev ## Show what changes the bytes of a run, and what does not
	@$(IN_VENV) python benchmarks/same_bytes.py


## Write

.PHONY: example
example: venv-dev ## Make reports/example from the finished default study (ARGS=--again, --notebooks)
	@$(IN_VENV) python tools/example.py $(ARGS)

.PHONY: format
format: venv-dev ## Format the code and the workflow
	@$(IN_VENV) ruff format . && ruff check --fix-only --quiet . && snakefmt $(SNAKEFILES)

.PHONY: schemas
schemas: venv-dev ## Write the JSON Schemas of the configuration files
	@$(IN_VENV) ablation schema workflow/schemas

.PHONY: docs
docs: venv-dev ## Renew the references of keys and of tables, and the published ablations
	@$(IN_VENV) ablation reference config/README.md
	@$(IN_VENV) python tools/published.py
	@$(IN_VENV) python tools/results.py

.PHONY: lock
lock: venv-dev ## Bring the locks in step with envs/*.in (ARGS=--upgrade: newest versions)
	@$(IN_VENV) $(COMPILE) envs/cpu.in -o envs/cpu.lock && \
		$(COMPILE) -c envs/cpu.lock envs/gpu.in -o envs/gpu.lock && \
		$(COMPILE) -c envs/cpu.lock envs/dev.in -o envs/dev.lock && \
		python tools/conda_envs.py


## Clean; results/, reports/ and Snakemake's records of them stay in any case

.PHONY: clean
clean: ## Remove caches and build leftovers
	@rm -rf build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find src tests tools workflow -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove .venv as well
	@rm -rf .venv

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^## / {sub(/^## /, "\n"); print} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
