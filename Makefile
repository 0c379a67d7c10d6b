# The official commands, in one place; CI runs the same targets. `make` without a target lists them.
# Every target sets up what it needs, so `make test` works on a fresh clone.

PYTHON ?= python3
VENV ?= .venv
# A wheel index for torch, e.g. PyTorch's index for one CUDA version or for CPU only; empty: pip's default.
TORCH_INDEX ?=
CONSTRAINTS ?= constraints.txt
# The same versions with the hashes of their files; empty for an index that has other builds of these packages.
HASHES ?= requirements.lock
# Parent folder of the demos' outputs.
RUNS ?= runs
# Seed of the demos, and of `make fuzz`.
SEED ?= 0
# More arguments for pytest or the demo: make test ARGS="-k bottleneck -x".
ARGS ?=
# Processes that run the tests, more than two cores because they often wait for children; 0 runs them in pytest's own process, as --pdb requires.
PYTEST_WORKERS ?= 4
# The file in benchmarks/ to run.
NAME ?= loading

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread a process: the tests' tensors are too small to gain from more threads, the order of summation is the same
# on every machine, and the workers do not compete for the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q
# All tests of a file run in one worker, so they share its fixtures; tests/conftest.py puts the long files first.
IN_WORKERS = -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

PYTHON_IS_NEW_ENOUGH := 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	"lagem needs Python 3.11 or newer, but this is %d.%d. Choose another one: make setup PYTHON=python3.12" % v[:2])'
CLUSTER_WORKS := 'import torch, torch_cluster; \
	torch_cluster.fps(torch.rand(8, 3, device="cuda" if torch.cuda.is_available() else "cpu"), ratio=0.5)'

.DEFAULT_GOAL := help
.PHONY: help setup torch-cluster cod-vae demo demo-generate test test-slow test-cluster fuzz benchmark three report-picture curves docs lint format typecheck constraints clean

help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Create .venv and install lagem with the tested versions (TORCH_INDEX=URL chooses the torch build)

$(VENV)/.installed: setup.cfg pyproject.toml $(CONSTRAINTS) $(HASHES)
	@$(PYTHON) -c $(PYTHON_IS_NEW_ENOUGH)
	@if $(PIP) --version >/dev/null 2>&1; then :; \
	elif $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -c 'import virtualenv' 2>/dev/null; then $(PYTHON) -m virtualenv -q $(VENV); \
	elif command -v virtualenv >/dev/null; then virtualenv -q -p $(PYTHON) $(VENV); \
	else echo "$(PYTHON) cannot create a virtual environment: apt install python3-venv (or: pip install virtualenv)" >&2; exit 1; fi
	@$(BIN)/python -c $(PYTHON_IS_NEW_ENOUGH)
	@rm -rf build/lib
	@# torch first, without dependencies: an index of torch builds may lack the others. Its builds differ, so it has no hash.
	$(PIP) install --no-deps -c $(CONSTRAINTS) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@echo "Installing the other packages: this prints nothing for a minute or two."
	$(PIP) install -q $(if $(HASHES),--no-deps --require-hashes -r $(HASHES),-c $(CONSTRAINTS) setuptools wheel)
	@# what is missing now belongs to the build of torch, such as CUDA libraries
	$(PIP) install -q -c $(CONSTRAINTS) --no-build-isolation -e '.[dev]'
	@touch $@
	@echo "lagem is installed. To use it: source $(BIN)/activate"

torch-cluster: setup ## Install torch-cluster for furthest point sampling on GPUs (compiles for about 9 minutes the first time)
	@if $(BIN)/python -c $(CLUSTER_WORKS) 2>/dev/null; then exit 0; fi; \
	command -v g++ >/dev/null || { echo "torch-cluster is compiled here and needs g++: apt install g++ python3-dev" >&2; exit 1; }; \
	echo "Installing torch-cluster: it compiles for about 9 minutes the first time on a machine; later pip's cache has it."; \
	$(PIP) install -q --no-build-isolation -c $(CONSTRAINTS) torch-cluster && $(BIN)/python -c $(CLUSTER_WORKS) && exit 0; \
	echo "The cached torch-cluster does not fit this torch; compiling it again." >&2; \
	$(PIP) install -q --no-build-isolation -c $(CONSTRAINTS) --no-deps --force-reinstall --no-cache-dir torch-cluster \
	&& $(BIN)/python -c $(CLUSTER_WORKS)

# An autoencoder by other authors, which lagem itself does not need.
CODVAE := cod-vae==1.0.0
CODVAE_VENV ?= .venv-cod-vae
cod-vae: ## Create .venv-cod-vae with lagem and cod-vae, for `make benchmark NAME=comparison ARGS="... --codvae .venv-cod-vae/bin/python"`
	$(MAKE) setup VENV=$(CODVAE_VENV)
	$(CODVAE_VENV)/bin/python -m pip install -q -c $(CONSTRAINTS) $(CODVAE)

demo: setup ## Set up, train the toy autoencoder on the CPU, write meshes and a picture to runs/demo_0 (replaced each time)
	@rm -rf $(RUNS)/demo_$(SEED)
	$(BIN)/lagem fit --config experiments/autoencoder/toy.yaml --seed_everything $(SEED) \
		--trainer.default_root_dir $(RUNS)/demo_$(SEED) $(ARGS)
	@echo "To use lagem: source $(BIN)/activate"

# Two trainings at a time, one thread each: the finest stage costs about as much as the two coarser ones together.
CASCADE = $(RUNS)/cascade_$(SEED)
AUTOENCODER = $(RUNS)/demo_$(SEED)/checkpoints/last.ckpt
STAGE = --data.init_args.root $(CASCADE)/latents --seed_everything $(SEED) $(ARGS)
# The shapes to encode, and the samples to generate.
SHAPES ?= procedural:2048+256
GENERATE ?= --category all --count 4
demo-generate: setup ## Train a cascade on the demo's autoencoder, generate furniture of every category in runs/cascade_0 (replaced)
	@test -f $(AUTOENCODER) || { echo "There is no $(AUTOENCODER): run make demo SEED=$(SEED) first." >&2; exit 2; }
	@rm -rf $(CASCADE)
	$(BIN)/lagem encode $(AUTOENCODER) $(SHAPES) --subsets 2 --seed $(SEED) --output $(CASCADE)/latents
	stage="env OMP_NUM_THREADS=1 $(BIN)/lagem fit --config experiments/cascade/toy/level"; \
	$$stage"_1.yaml" --trainer.default_root_dir $(CASCADE)/level_1 $(STAGE) > $(CASCADE)/level_1.log 2>&1 & finest=$$!; \
	trap "kill $$finest 2>/dev/null" EXIT; \
	for level in 3 2; do $$stage"_$$level.yaml" --trainer.default_root_dir $(CASCADE)/level_$$level $(STAGE) || exit; done; \
	echo "Waiting for level 1, see $(CASCADE)/level_1.log"; wait $$finest || { cat $(CASCADE)/level_1.log >&2; exit 1; }
	$(BIN)/lagem bundle $(AUTOENCODER) $(CASCADE)/level_[123]/checkpoints/last.ckpt --output $(CASCADE)/cascade
	$(BIN)/lagem generate $(CASCADE)/cascade $(GENERATE) --seed $(SEED) --output $(CASCADE)/samples

test: setup ## Set up and run the CPU tests (in four processes; PYTEST_WORKERS=N changes that)
	$(PYTEST) $(IN_WORKERS) -m "not slow and not gpu and not cluster" $(ARGS)

test-slow: setup ## Also run the slow tests, in one process (and those of a GPU or SLURM if there is one)
	$(PYTEST) $(ARGS)

# Two nodes on the loopback interface; the tests start and stop them.
test-cluster: setup ## Install SLURM if it is missing (root, apt) and run the tests on a SLURM of two nodes
	@command -v slurmctld >/dev/null && command -v munged >/dev/null || { apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; }
	@# sweeps, W&B's search library, requires an old numpy that it does not need
	@$(BIN)/python -W ignore -c 'import sweeps, sklearn' 2>/dev/null || { \
	$(PIP) install -q -c $(CONSTRAINTS) jsonref jsonschema scikit-learn && $(PIP) install -q --no-deps sweeps==0.3.0; }
	$(PYTEST) -m "cluster and not slow" tests/cluster $(ARGS)

# Seconds that `make fuzz` takes.
SECONDS ?= 60
fuzz: setup ## Feed damaged files to everything that reads files, and count the outcomes: make fuzz SECONDS=60 SEED=0
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS) --seed $(SEED) $(ARGS)

# One thread per library: times are CPU times, and threads that wait for one another count as busy.
benchmark: setup ## Run a benchmark on an otherwise idle machine: make benchmark NAME=loading (or preparation, …)
	@test -f benchmarks/$(NAME).py || { echo "NAME=$(NAME): there is no benchmarks/$(NAME).py" >&2; exit 2; }
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 IGL_NUM_THREADS=1 $(BIN)/python benchmarks/$(NAME).py $(ARGS)

# The part of three.js that reports use, and the program that bundles it.
THREE := three@0.187.0
ESBUILD := esbuild@0.28.2
VIEWER := src/lagem/reports/page/viewer
three: ## Bundle three.js for the 3D views of reports (needs npm)
	@folder=$$(mktemp -d) && trap "rm -rf $$folder" EXIT && cp $(VIEWER)/three.entry.js $$folder && \
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $$folder $(THREE) $(ESBUILD) && \
	$$folder/node_modules/.bin/esbuild $$folder/three.entry.js --bundle --minify --target=es2022 --format=iife --global-name=THREE \
	--banner:js='/*! $(THREE), MIT licence (three.LICENSE.txt), bundled by $(ESBUILD): make three */' --outfile=$(VIEWER)/three.min.js && \
	cp $$folder/node_modules/three/LICENSE $(VIEWER)/three.LICENSE.txt

CHROMIUM ?= chromium
report-picture: setup ## Draw docs/report.png in Chromium: the report of an evaluation of weights in the package
	@folder=$$(mktemp -d) && trap "rm -rf $$folder" EXIT && cd $$folder && PATH="$(abspath $(BIN)):$$PATH" && \
	cp $(CURDIR)/src/lagem/pretrained/large.safetensors . && lagem generate --category all --count 1 --output shapes && \
	lagem evaluate large.safetensors shapes --resolution 64 --output evaluation && \
	lagem report evaluation --data shapes --output report.html && cd - >/dev/null && \
	$(CHROMIUM) --headless=new --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --hide-scrollbars \
	--user-data-dir=$$folder/profile --window-size=1200,1500 --virtual-time-budget=20000 --screenshot=docs/report.png \
	$$folder/report.html 2>/dev/null

# Folders of runs; the picture names them as they are given here.
RUN ?= $(RUNS)/demo_$(SEED)
curves: setup ## Draw docs/curves.svg: the curves of `make demo`, or of RUN="FOLDER ..."
	$(BIN)/python docs/site/curves.py $(RUN) --output docs/curves.svg $(ARGS)

# Pages of the code are written to docs/reference. -W: a warning, for example of a link that leads nowhere, is an error.
docs: setup ## Build the documentation as a site: open build/docs/docs/index.html
	$(BIN)/sphinx-build -q -W --keep-going -c docs/site . build/docs $(ARGS)
	@echo "Open build/docs/docs/index.html"

lint: setup ## Check style and formatting (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## Apply ruff's fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: setup ## mypy on an installed copy (the folder mapping is invisible to mypy in place)
	rm -rf build
	$(PIP) install -q --no-deps --no-build-isolation --target build/typecheck .
	@rm -rf build/lib
	MYPYPATH=build/typecheck $(BIN)/mypy -p lagem

# Resolves the versions of constraints.txt for all systems, and finds the hashes of their files.
UV := uv==0.13.9
# Packages that belong to torch, whose builds differ from index to index.
OF_TORCH := ^(nvidia|cuda|triton)
constraints: torch-cluster ## Write .venv's versions to constraints.txt, and their hashes to requirements.lock, after testing them
	@{ sed -n '/^#/p' $(CONSTRAINTS); \
	$(PIP) freeze --all --exclude pip --exclude lagem --exclude-editable \
	| grep -E '^[A-Za-z0-9._-]+==' | grep -vE '$(OF_TORCH)' | sed 's/+.*//' | LC_ALL=C sort -f; } > $(CONSTRAINTS).new
	mv $(CONSTRAINTS).new $(CONSTRAINTS)
	@folder=$$(mktemp -d) && trap "rm -rf $$folder" EXIT && $(PIP) install -q --target $$folder $(UV) && \
	echo wheel | $$folder/bin/uv pip compile -q - setup.cfg --extra dev -c $(CONSTRAINTS) --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate -o $$folder/lock >/dev/null && { sed -n '/^#/p' $(HASHES); \
	awk '/^[^ ]/ { kept = !/$(OF_TORCH)|^torch==/ } kept' $$folder/lock; } > $(HASHES).new
	mv $(HASHES).new $(HASHES)

clean: ## Remove build products and caches, but not .venv and runs/
	rm -rf build dist docs/reference lagem.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -path './$(VENV)' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
