# One command each: run, test, check. `make help` lists them.
#
# .venv is made from the locks in envs/ and updated with them. Requirements: make, git and Python
# 3.11 to 3.13. Variables: PYTHON, STUDY, CORES, GPU=1, ARGS, CHROMIUM, KILLS.

.DEFAULT_GOAL := run
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

CORES ?= 8
VENV := PYTHON='$(PYTHON)' sh tools/venv.sh
# The shell expands PWD, so the path of the checkout may contain spaces.
IN_VENV := PATH="$$PWD/.venv/bin:$$PATH" &&

SNAKEFILES := Snakefile workflow
# Tests of a file share fixtures, so they run in one process. tests/conftest.py puts them in order.
PYTEST := python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
CHECKS := check-format check-code check-imports check-workflow-format check-workflow check-types check-generated
# Keeps pins that still fit; ARGS=--upgrade updates to the newest versions.
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
data: venv ## Download and prepare the data of the study (STUDY=name), train nothing
	@$(IN_VENV) snakemake data $(if $(ARGS),$(ARGS) )--cores $(CORES) \
		$(if $(STUDY),--config 'study=$(STUDY)')

.PHONY: archive
archive: venv ## Write results/archive/STUDY.zip from the finished study (STUDY=name, ARGS=--without-images)
	@$(IN_VENV) ablation archive $(if $(STUDY),'$(STUDY)') $(ARGS)

.PHONY: venv venv-gpu venv-cluster venv-dev venv-bench
venv: ## Make .venv from envs/cpu.lock
	@$(VENV) cpu

venv-gpu: ## Make .venv with TensorFlow's CUDA libraries (Linux, NVIDIA)
	@$(VENV) gpu

venv-cluster: ## Make .venv with the libraries of venv-gpu and Snakemake's executor for Slurm
	@$(VENV) cluster

venv-dev: ## Make .venv with the tools for the targets below
	@$(VENV) dev

venv-bench: ## Make .venv-bench with PyTorch and timm, for `make bench`
	@$(VENV) bench


## Test and check

.PHONY: test
test: venv-dev ## Run all tests except test-browser, test-slurm and test-studies (ARGS for pytest)
	@$(IN_VENV) $(PYTEST) -m "not browser and not studies and not long and not slurm" $(ARGS)

.PHONY: test-unit test-workflow test-browser test-long test-studies test-kill test-slurm
test-unit: venv-dev ## Run the fast tests, without Snakemake
	@$(IN_VENV) $(PYTEST) -m "not browser and not studies and not long and not workflow and not slow" \
		$(ARGS)

test-workflow: venv-dev ## Run the tests with Snakemake
	@$(IN_VENV) $(PYTEST) -m "workflow and not studies and not long" $(ARGS)

test-long: venv-dev ## Run the tests that take a minute each, and those of the benchmarks
	@$(IN_VENV) python -m pytest -m long $(ARGS)

test-kill: venv-dev ## Kill a study at random times and compare its bytes (KILLS=24)
	@$(IN_VENV) KILLS=$(or $(KILLS),24) python -m pytest tests/kill $(ARGS)

test-slurm: venv-dev ## Run studies on a cluster of Slurm (Debian, root: installs and starts it)
	@$(IN_VENV) python -m pytest tests/slurm $(ARGS)

test-studies: venv-dev ## Run each study in a reduced form on simulated data
	@$(IN_VENV) python -m pytest tests/studies $(ARGS)

test-browser: venv-dev ## Test the report in Chromium (Debian: installs it when run by root)
	@CHROMIUM=$$(CHROMIUM='$(CHROMIUM)' sh tools/chromium.sh) && export CHROMIUM && \
		$(IN_VENV) python -m pytest tests/report/browser $(ARGS)

.PHONY: check $(CHECKS)
check: venv-dev ## Check format, code, imports, workflow, types and generated files
	@$(MAKE) --no-print-directory --keep-going $(CHECKS)

check-format:
	@$(IN_VENV) ruff format --check .

check-code:
	@$(IN_VENV) ruff check .

check-imports:
	@$(IN_VENV) lint-imports

check-workflow-format:
	@$(IN_VENV) snakefmt --check $(SNAKEFILES)

check-workflow: # exits with an error for any finding
	@$(IN_VENV) snakemake --lint

check-types:
	@$(IN_VENV) mypy && mypy --follow-imports=silent --explicit-package-bases benchmarks/*.py tools/*.py

check-generated:
	@$(IN_VENV) python tools/conda_envs.py --check
	@$(IN_VENV) python tools/published.py --check
	@$(IN_VENV) python tools/results.py --check
	@$(IN_VENV) made=$$(mktemp -d) && trap 'rm -r "$$made"' EXIT && ablation schema "$$made" && \
		{ diff -ru workflow/schemas "$$made" || \
		{ echo "workflow/schemas is out of date: run 'make schemas'" >&2; exit 1; }; }
	@$(IN_VENV) python -c 'import sys; from pathlib import Path; \
		from ablation.study.reference import with_reference; \
		text = Path("config/README.md").read_text(); \
		sys.exit(text != with_reference(text) and "config/README.md is out of date: run make docs")'
	@echo "Generated files are up to date."


## Measure

.PHONY: bench
bench: venv-bench ## Compare the speed with PyTorch, TensorFlow and Snakemake alone (ARGS=--quick, --part steps)
	@PATH="$$PWD/.venv-bench/bin:$$PATH" python -m benchmarks.bench $(ARGS)

.PHONY: benchmark-verdicts
benchmark-verdicts: venv-dev ## Measure error rates and power of the verdicts on simulated studies (ARGS=--quick)
	@$(IN_VENV) python benchmarks/rules.py $(ARGS)
	@$(IN_VENV) python benchmarks/verdicts.py $(ARGS)

.PHONY: benchmark-bytes
benchmark-bytes: venv-dev ## Measure which conditions change the bytes of a run
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
docs: venv-dev ## Update the references of keys and tables, and the published ablations
	@$(IN_VENV) ablation reference config/README.md
	@$(IN_VENV) python tools/published.py
	@$(IN_VENV) python tools/results.py

.PHONY: lock
lock: venv-dev ## Update the locks from envs/*.in (ARGS=--upgrade: newest versions)
	@$(IN_VENV) $(COMPILE) envs/cpu.in -o envs/cpu.lock && \
		$(COMPILE) -c envs/cpu.lock envs/verify.in -o envs/verify.lock && \
		$(COMPILE) -c envs/cpu.lock envs/gpu.in -o envs/gpu.lock && \
		$(COMPILE) -c envs/gpu.lock envs/cluster.in -o envs/cluster.lock && \
		$(COMPILE) -c envs/cluster.lock envs/dev.in -o envs/dev.lock && \
		$(COMPILE) -c envs/cpu.lock envs/bench.in -o envs/bench.lock && \
		python tools/conda_envs.py


## Clean; results/, reports/ and Snakemake's records are kept

.PHONY: clean
clean: ## Remove caches and build files
	@rm -rf build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find src tests tools workflow -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Also remove .venv
	@rm -rf .venv

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^## / {sub(/^## /, "\n"); print} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
