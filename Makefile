# Everything here needs Python 3.11, 3.12 or 3.13, git and make, and nothing else.
#
#   AIRFLOW=2.11.2   the Airflow to run on, one of constraints/airflow-*.txt (default 3.3.2)
#   PYTHON=…         the interpreter to run on, in an environment of its own (default: the first one that fits)
#   ARGS=…           more arguments for pytest or prove, such as ARGS='-k storyboard -x' or ARGS="--replay '…'"
#   BOUND=small      prove within two minutes; STEPS=10000000 random walks of that many events for a release
#   KILLS=…          how many task processes e2e and bench kill (default 50)
#   LEDGER=1         e2e on an Airflow whose config names a ledger
#   WAITS=…          how many waits of one triggerer e2e interrupts (default 2000)
#   SECONDS=…        how long fuzz runs (default 120), or EXAMPLES=… how many it tries in all
#   LIVE=1           run demo or conform on Segmind itself, which costs money; they ask first, YES=1 agrees

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test e2e lint bench conform attack fuzz prove mutations airflow docs build clean

AIRFLOW ?= 3.3.2
KILLS ?= 50
WAITS ?= 2000
# A Python that is named has environments of its own: .venv-airflow-3.3.2-python3.12
NAMED := $(if $(PYTHON),-python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null))
PYTHON ?= python3.11 python3.12 python3.13 python3
# Airflow 2.11 and 3.0 are not for Python 3.13; no constraints were tried on 3.14.
NEWEST_PYTHON := $(if $(filter 2.% 3.0.%,$(AIRFLOW)),3.12,3.13)

VENV := .venv-airflow-$(AIRFLOW)$(NAMED)
DIST ?= dist
CONSTRAINTS := constraints/airflow-$(AIRFLOW).txt
READY := $(VENV)/.ready

RUN := $(VENV)/bin/python

help: ## Show this list
	@grep -E '^[a-z0-9]+:.*## ' $(firstword $(MAKEFILE_LIST)) | while IFS= read -r line; do \
		printf '  make %-10s %s\n' "$${line%%:*}" "$${line#*## }"; done

setup: $(READY) ## Make the environment that the other commands run in (they do it themselves)

demo: $(READY) ## Run image, video, edit on a small Airflow into demo-output/ (LIVE=1: on Segmind itself, paid)
	@LIVE="$(LIVE)" YES="$(YES)" KEEP="$(KEEP)" $(RUN) -m demo

airflow: $(READY) ## Open Airflow's own UI with the example DAGs, a finished run and a simulated Segmind, until Ctrl-C
	@KEEP="$(KEEP)" $(RUN) -m demo.ui

test: $(READY) ## Run the test suite on all cores (AIRFLOW=2.11.2: on that Airflow)
	@$(RUN) -m pytest --ignore tests/e2e --numprocesses auto --dist worksteal $(ARGS)

e2e: $(READY) ## Kill the processes of a real Airflow on PostgreSQL (installed with apt-get where it is missing)
	@KILLS="$(KILLS)" WAITS="$(WAITS)" LEDGER="$(LEDGER)" KEEP="$(KEEP)" SERVERS=1 $(RUN) -m pytest tests/e2e tests/ledger $(ARGS)

bench: $(READY) ## Measure against other ways to do it, as tables of ratios
	@KILLS="$(KILLS)" $(RUN) -m bench

conform: $(READY) ## Measure what is assumed of Segmind, on the simulator (LIVE=1: on Segmind itself, for cents)
	@LIVE="$(LIVE)" YES="$(YES)" RATE_LIMIT="$(RATE_LIMIT)" REQUESTS_PER_MINUTE="$(REQUESTS_PER_MINUTE)" $(RUN) -m conform

attack: $(READY) ## Try what docs/security.md speaks of, on loopback only, as a table of what is expected and what is seen
	@$(RUN) -m pytest tests -m attack -p tests.attack_table -q -r "" --numprocesses auto --dist loadgroup $(ARGS)

fuzz: $(READY) ## Feed odd bytes to all that reads any, for two minutes (SECONDS=…, EXAMPLES=… in all)
	@SECONDS="$(SECONDS)" EXAMPLES="$(EXAMPLES)" $(RUN) -m tests.fuzz

prove: $(READY) ## Explore every order of events of a submission within bounds, then walk at random (BOUND=small: for CI)
	@BOUND="$(BOUND)" STEPS="$(STEPS)" KNOWN="$(KNOWN)" $(RUN) -m prove $(ARGS)

mutations: $(READY) ## Break the protocol in many ways, and see whether prove or the tests find each
	@$(RUN) -m prove.mutations $(ARGS)

lint: $(READY) ## Check style and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy -p airflow_provider_kling -p demo -p docs -p bench -p conform -p prove

docs: $(READY) ## Write docs/models.md anew from the payload classes
	@$(RUN) -m docs.generate > docs/models.md

build: $(READY) ## Build the wheel into dist/
	@$(RUN) -m build --wheel --outdir $(DIST) .

clean: ## Remove the environments, caches and everything that was built (not what LIVE=1 paid for)
	rm -rf .venv-airflow-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	for folder in demo-output conform-output; do \
		[ ! -d $$folder ] || find $$folder -mindepth 1 -maxdepth 1 ! -name 'live-*' -exec rm -rf {} + ; done
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CONSTRAINTS):
	@echo "There is no $@: AIRFLOW must be one of $(patsubst constraints/airflow-%.txt,%,$(wildcard constraints/*))." >&2; exit 1

# The stamp is written last, so a set-up that was interrupted is begun again from an empty folder.
$(READY): pyproject.toml $(CONSTRAINTS)
	@found=; if [ ! -e $(READY) ]; then \
		for python in $(PYTHON); do \
			"$$python" -c 'import ensurepip, sys, venv; \
				sys.exit(not (3, 11) <= sys.version_info[:2] <= tuple(map(int, "$(NEWEST_PYTHON)".split("."))))' \
				>/dev/null 2>&1 && found=$$python && break; \
		done; \
		if [ -z "$$found" ]; then \
			echo "Airflow $(AIRFLOW) needs Python 3.11 to $(NEWEST_PYTHON) with its venv module, and none of these is one: $(PYTHON). Name one: make PYTHON=/path/to/python3" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$($$found --version) (once, one to three minutes)"; \
		"$$found" -m venv --clear $(VENV) || exit 1; \
	fi
	@rm -f $(READY)
	@printf 'Installing Airflow $(AIRFLOW), this provider and its tools '
	@(while sleep 3; do printf .; done) & dots=$$!; trap 'kill $$dots 2>/dev/null; echo' EXIT; trap 'exit 130' INT TERM; \
		$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --use-pep517 \
		--constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $(READY)
