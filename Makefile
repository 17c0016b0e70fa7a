# Set-up and main jobs. Nothing is done twice: the virtual environment carries a stamp with the hash of pyproject.toml, images carry
# the hash of what they are made of.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup matrix test controls check pictures clean

VENV := .venv
BIN := $(VENV)/bin
HASH := $(firstword $(shell sha256sum pyproject.toml))
STAMP := $(VENV)/.setup-$(HASH)
ARGS ?=
IMAGES := helper siplab-dns kamailio@6.0 baresip@1.1 linphone@5.3 pjsip@2.15
TESTED := $(IMAGES) linphone@5.1 baresip@1.0 baresip@4.10 reference asterisk twinkle sipp sipua coturn ejabberd sippy siplab-nat kamailio-rtpengine

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: $(STAMP) ## virtual environment, engine, base images, images of the matrix
	@$(BIN)/siplab doctor --fix
	@$(BIN)/siplab images build $(IMAGES)

matrix: setup ## every pairing of the user agents on the trapezoid; prints the matrix (more options: ARGS="-j 4")
	@$(BIN)/siplab run trapezoid --bind alice,bob=baresip,linphone,pjsip $(ARGS)

test: setup ## the test suite, with real containers
	@$(BIN)/siplab images build $(TESTED)
	@bash .ci/compose
	@$(BIN)/pytest tests --timeout 300 -m "not exhaustive" $(ARGS)

controls: setup ## every scenario of every topology but the trapezoid, its negative control, compose by hand, checks of servers (three quarters of an hour)
	@$(BIN)/siplab images build $(TESTED)
	@bash .ci/compose
	@$(BIN)/pytest tests/integration/test_controls.py tests/integration/test_compose.py tests/integration/test_conformance.py --timeout 1600 -m exhaustive $(ARGS)

check: $(STAMP) ## lint, types, unit and golden tests: no Docker, a minute on two cores
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q -n 4 --timeout 60 -m "not docker and not collects" $(wildcard tests/unit tests/contract tests/test_*.py) $(ARGS)

pictures: $(STAMP) ## write docs/reference/topologies.md and docs/pictures/ from topologies/
	@$(BIN)/siplab topologies document

clean: ## remove virtual environment, caches and build logs (results and images stay)
	@rm -rf $(VENV) .siplab .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): export PIP_DISABLE_PIP_VERSION_CHECK := 1
$(STAMP):
	@python="$$(bash .ci/find-python)"; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "virtual environment in $(VENV) ($$("$$python" --version))" >&2; "$$python" -m venv --clear $(VENV); }; \
	echo "installing siplab and its dependencies" >&2; \
	$(BIN)/python -m pip install --quiet --quiet --editable '.[dev]'; \
	rm -f $(VENV)/.setup-*; \
	touch $@
