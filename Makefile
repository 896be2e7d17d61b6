PYTHON ?= python3
BIN := .venv/bin
SEED ?= 42
NOTEBOOK = experiments/run.ipynb

.PHONY: run test lab study bench nbs publish log site clean

# The environment is complete when this stamp exists; it is never older than what it was made from.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[study,dev,sweep,deploy,bench]'
	mkdir -p runs
	touch $@

run: .venv/installed   ## the main job: one (experiment, seed) on the embedded default, about four minutes
	mkdir -p runs
	$(BIN)/papermill $(NOTEBOOK) runs/retained-seed$(SEED).ipynb -p seed $(SEED) --no-progress-bar --log-output

test: .venv/installed  ## every test and every lesson notebook
	$(BIN)/python -m pytest

BUDGET ?= auto
DEVICE ?= auto
EXPERIMENTS ?= all
SEEDS ?= 42,123,7
DATA ?=
DATASET ?= auto
# Names with commas between; a comma within a name is written with a backslash: CATEGORIES='nuts\, large,bolts'
CATEGORIES ?=
PROFILE ?= local
GPUS ?= 1
THREADS ?=
ASKED = --budget $(BUDGET) --device $(DEVICE) --experiments "$(EXPERIMENTS)" --seeds "$(SEEDS)" \
	--data-root "$(DATA)" --dataset $(DATASET) --categories "$(CATEGORIES)"
CONFIG = profile=$(PROFILE) gpus=$(GPUS) threads=$(THREADS) budget=$(BUDGET) device=$(DEVICE) \
	experiments="$(EXPERIMENTS)" seeds="$(SEEDS)" data="$(DATA)" dataset=$(DATASET) categories="$(CATEGORIES)"
study: .venv/installed ## every (experiment, seed, category) as Snakemake jobs; DRY=-n lists them only
	$(BIN)/mudenet plan $(ASKED)
	$(BIN)/snakemake -s experiments/Snakefile --workflow-profile experiments/profiles/$(PROFILE) \
		$(if $(filter local,$(PROFILE)),--resources gpu=$(GPUS)) $(DRY) --config $(CONFIG)

lab: .venv/installed   ## the notebooks in JupyterLab, which saves them clean
	JUPYTER_CONFIG_PATH="$(CURDIR)/nbs/.jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" $(BIN)/jupyter lab

bench: .venv/installed ## ratios measured in one run, on this machine
	$(BIN)/mudenet bench

nbs: .venv/installed   ## after editing nbs/: export the package, run the lessons in place, clean the notebooks
	$(BIN)/nbdev_export
	$(BIN)/jupyter nbconvert --log-level WARN --to notebook --execute --inplace nbs/*.ipynb nbs/*/*.ipynb
	$(BIN)/jupyter nbconvert --log-level WARN --to notebook --inplace --CoalesceStreamsPreprocessor.enabled=True \
		nbs/*.ipynb nbs/*/*.ipynb
	$(BIN)/jupyter nbconvert --log-level WARN --clear-output --inplace experiments/*.ipynb
	$(BIN)/nbdev_clean && for n in experiments/*.ipynb; do $(BIN)/nbdev_clean --fname $$n || exit; done

publish: .venv/installed ## copy finished runs' records and pictures to experiments/results/ and draw README's figure
	$(BIN)/mudenet publish

log: .venv/installed     ## every page of the site as a project in log/, from text and records
	$(BIN)/mudenet site --only-log

site: .venv/installed    ## the same, rendered into _site/: with Quarto where it is installed, else with smalldocs
	$(BIN)/mudenet site

clean:
	rm -rf _site log .venv *.egg-info .pytest_cache .ruff_cache
