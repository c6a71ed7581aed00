# Everything is set up in .venv, what benchmarks need beside it in benchmarks/.venv; a second call of any target
# reinstalls nothing.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
APP_STAMP := .venv/.app-installed
OLDEST_BIN := .venv-oldest/bin
OLDEST_STAMP := .venv-oldest/.installed
BENCH_BIN := benchmarks/.venv/bin
BENCH_STAMP := benchmarks/.venv/.installed

ifneq ($(wildcard ../shared/data),)
export RHOHAT_DATA ?= $(abspath ../shared/data)
endif

# make bench CASE=small64,patches runs these cases only; FULL=1 runs the slow ones to their ends, and AVX2=1 keeps every
# library from using AVX-512, as on a processor without it. make reproduce FAST=1
# is reduced to a few minutes, RESULT="edges softmax" runs these only, and ADD=1 with it puts them into RESULTS.md.
CASE ?=
FULL ?=
AVX2 ?=
FAST ?=
ADD ?=
RESULT ?=
# make mutants FILES="terms/penalties.py layers" LIMIT=50 looks at some mutants of these only.
FILES ?=
LIMIT ?=
# make bench-gpu ON=--cpu runs everything on the processor.
ON ?=

#: What codespell reads.
TEXTS := src tests docs benchmarks reproductions examples $(wildcard *.md) Makefile pyproject.toml CITATION.cff
#: What the linter of prose reads.
PROSE := docs reproductions $(wildcard *.md)
#: What `make quick` runs: the mathematics, the solvers, and what keeps the project in shape.
QUICK := tests/checking tests/dictionaries tests/layers tests/objective tests/ops tests/solvers tests/terms tests/test_mutants.py \
  tests/test_oldest.py tests/test_policy.py tests/test_public_api.py tests/test_structure.py
#: What `make test-device` runs a second time, on a device of PyTorch.
ON_DEVICE := $(addprefix tests/estimators/test_,autoencoders.py availability.py bad_input.py class_weights.py convolutional.py \
  dictionaries.py dictionaries_refused.py early_stopping.py feedforward.py given_weights.py row_sources.py sample_weights.py sequences.py sequences_training.py \
  sparse_autoencoder.py supervised.py)
#: What `make check-oldest` leaves out: what needs PyTorch or other packages, and what takes long and says nothing of versions.
NOT_ON_OLDEST := tests/callbacks/test_trackers.py tests/checking/test_proofs.py \
  $(addprefix tests/dictionaries/,by_hand.py reference.py test_reference.py test_reference_step.py test_split_fits.py test_split_steps.py test_step_by_step.py test_gradients.py test_resampling.py) \
  $(addprefix tests/inspection/reporting/,browsing.py test_layout.py) $(wildcard tests/inspection/reporting/test_browser*.py) tests/modules \
  $(addprefix tests/layers/test_,lstm.py padding.py per_step.py recurrent.py recurrent_tangents.py simple_recurrent.py) \
  tests/dictionaries/test_on_device.py tests/engines/test_device.py tests/engines/test_processes.py tests/layers/recurrent_by_torch.py tests/objective/test_convolutional_networks.py \
  tests/objective/test_convolutional_networks_beside_torch.py \
  $(addprefix tests/ops/,compiling_for_gpus.py test_torch.py test_torch_code_ops.py test_torch_code_parts.py test_triton_kernels.py) tests/terms/test_stepwise_loss.py tests/automatic_torch.py tests/on_device.py tests/test_benchmarks.py \
  tests/test_docs.py tests/test_docstrings.py tests/test_examples.py tests/prose.py tests/test_prose.py tests/test_readme.py tests/test_real_data.py \
  tests/test_reproductions.py tests/test_structure.py

.PHONY: help install demo reproduce docs test test-device quick coverage check check-oldest mutants bench bench-digits bench-detectors bench-gpu bench-kernels bench-profile bench-cluster bench-out-of-core bench-start bench-threads bench-references gradient-checks cli-reference public-api mutations peers clean

help:
	@echo "make install           set up .venv with everything"
	@echo "make demo              photographs -> edge detectors; pictures and the model in demo/"
	@echo "make reproduce         reproduces published results: writes reproductions/RESULTS.md; FAST=1 for a few minutes"
	@echo "make docs              this project's pages, in docs/_build/html; runs the gallery's examples"
	@echo "make test              tests, doctests and README examples"
	@echo "make test-device       the tests of estimators once more, computed on a device of PyTorch"
	@echo "make quick             a minute of tests between edits: the mathematics, the solvers, the shape of the project"
	@echo "make coverage          the tests, and which branches they pass; fails under the floor in pyproject.toml"
	@echo "make check             what CI runs: ruff, mypy, import-linter, codespell, proselint, make docs, make test, make test-device"
	@echo "make check-oldest      the tests on the oldest packages that are allowed, without Numba, in .venv-oldest"
	@echo "make mutants           small changes of the source that no test notices; FILES=... and LIMIT=... for some"
	@echo "make bench             speed beside the textbook, PyTorch, JAX and lower bounds; CASE=name,name for some"
	@echo "make bench-gpu         checks what a GPU computes, and measures it beside PyTorch; ON=--cpu runs it on the processor"
	@echo "make bench-kernels     what each trick of the hot loop gains, operation by operation"
	@echo "make bench-digits      a classifier on scikit-learn's digits, beside MLPClassifier"
	@echo "make bench-detectors   outlier detectors on five data sets; beside PyOD where it is installed"
	@echo "make bench-profile     what an evaluation and a step of Adam spend their time on"
	@echo "make bench-cluster     J and its gradient on Dask workers: two processes beside one"
	@echo "make bench-out-of-core a file of 6 GB within 512 MB of memory; takes ten minutes, and the room on the disk"
	@echo "make bench-start       rhohat --help beside the imports that it cannot do without"
	@echo "make bench-threads     fits in several threads at a time beside as many in a row"
	@echo "make bench-references  writes benchmarks/references.json; takes a quarter of an hour"
	@echo "make gradient-checks   writes the table in docs/gradient-checks.md"
	@echo "make mutations         loads 10,000 damaged and forged model files, and as many of other libraries' formats"
	@echo "make peers             SAELens, sparsify and dictionary_learning load what is exported, and the other way round"
	@echo "make cli-reference     writes docs/cli.md from the commands' help"
	@echo "make public-api        writes tests/public_api.txt, after the public interface was changed on purpose"
	@echo "make clean             remove .venv, caches and results"

install: $(STAMP)

$(STAMP): $(APP_STAMP)
	@echo "Installing what the tests and the documentation need as well: about 1.2 GB, a minute or two."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[app,dev]'
	@touch $@

# What the demo and users need, without what develops and documents the package.
$(APP_STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "rhohat needs Python 3.11 or newer; call make with PYTHON=/path/to/one" >&2; exit 1; }
	@echo "Installing rhohat and the packages of its pictures and its command line into .venv: about 180 MB are"
	@echo "downloaded, 800 MB written. This takes half a minute with a fast connection."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[app]'
	@touch $@

demo: $(APP_STAMP)
	@echo "Learning edge detectors from photographs. The first time, compiling for your processor takes some seconds."
	$(BIN)/rhohat demo

reproduce: $(STAMP)
	$(BIN)/python -m reproductions $(if $(FAST),--fast) $(if $(ADD),--add) $(RESULT)

# From scratch: what an earlier build left may hide what is missing now. A warning is an error.
docs: $(STAMP)
	rm -rf docs/_build docs/gallery docs/api/generated
	$(BIN)/sphinx-build -W --keep-going --quiet -j auto -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# The CPU stands for all devices: PyTorch computes on it what it computes on a GPU.
test-device: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -p tests.on_device $(ON_DEVICE)

quick: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(QUICK)

coverage: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --cov

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell $(TEXTS)
	$(BIN)/python -m tests.prose $(PROSE)
	$(MAKE) docs
	$(MAKE) test
	$(MAKE) test-device

$(OLDEST_STAMP): pyproject.toml tests/oldest-requirements.txt
	$(PYTHON) -m venv .venv-oldest
	$(OLDEST_BIN)/python -m pip install --quiet --disable-pip-version-check --requirement tests/oldest-requirements.txt
	$(OLDEST_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# Old packages warn of what newer ones have changed, which is not ours to mend. Numba is not installed there, so that this
# is also the pass that shows that everything works without it.
check-oldest: $(OLDEST_STAMP)
	$(OLDEST_BIN)/python -m pytest --numprocesses 2 --dist worksteal -W ignore::DeprecationWarning tests \
	  $(NOT_ON_OLDEST:%=--ignore=%)

mutants: $(STAMP)
	$(BIN)/python -m tests.mutants $(FILES) $(if $(LIMIT),--limit $(LIMIT))

$(BENCH_STAMP): pyproject.toml benchmarks/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "rhohat needs Python 3.11 or newer; call make with PYTHON=/path/to/one" >&2; exit 1; }
	$(PYTHON) -m venv benchmarks/.venv
	$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fast]'
	@grep -v '^#' benchmarks/requirements.txt | while read -r package; do \
	  $(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check "$$package" \
	  || echo "$$package could not be installed; the benchmarks go on without it" >&2; \
	done
	@touch $@

bench: $(BENCH_STAMP)
	$(BENCH_BIN)/python -m benchmarks $(if $(FULL),--full) $(if $(AVX2),--avx2) $(CASE)

bench-digits: $(STAMP)
	$(BIN)/python -m benchmarks.digits

bench-detectors: $(STAMP)
	$(BIN)/python -m benchmarks.detectors

bench-gpu: $(STAMP)
	$(BIN)/python benchmarks/gpu.py $(ON)

bench-kernels: $(STAMP)
	$(BIN)/python -m benchmarks.kernels

bench-profile: $(STAMP)
	$(BIN)/python -m benchmarks.profile

bench-cluster: $(STAMP)
	$(BIN)/python -m benchmarks.cluster

bench-out-of-core: $(STAMP)
	$(BIN)/python -m benchmarks.out_of_core

bench-start: $(STAMP)
	$(BIN)/python -m benchmarks.start

bench-threads: $(STAMP)
	$(BIN)/python -m benchmarks.threads

bench-references: $(BENCH_STAMP)
	$(BENCH_BIN)/python -m benchmarks.references

gradient-checks: $(STAMP)
	$(BIN)/python docs/write_gradient_checks.py

mutations: $(STAMP)
	$(BIN)/python -m tests.models.model_file.mutations 10000
	$(BIN)/python -W ignore -m tests.models.formats.mutations 10000

# Other libraries in environments of their own, some GB, which load what rhohat exports and write what it loads.
peers: $(STAMP)
	$(BIN)/python -m tests.models.formats.peers

cli-reference: $(STAMP)
	$(BIN)/python docs/write_cli_reference.py

public-api: $(STAMP)
	$(BIN)/python -m tests.public_api

clean:
	rm -rf .venv .venv-oldest .venv-peers mutants .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis demo benchmarks/results \
	  benchmarks/.venv reproductions/partial docs/_build docs/gallery docs/api/generated
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
