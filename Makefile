# Two commands set everything up on a new machine: `make demo` and `make test`. Needs Python 3.11 or newer.
PYTHON ?= python3
# The version the tests were run with. Elsewhere: make demo TORCH="torch --index-url …" for another build.
TORCH ?= torch==2.13.0
VENV := .venv
export OMP_WAIT_POLICY ?= PASSIVE
# Every process of a test would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-soak test-fast check format clean

demo: $(VENV)/installed
	$(VENV)/bin/pcm3 demo --folder demo

test: $(VENV)/installed-dev
	$(VENV)/bin/pytest -n 2 --dist worksteal -m "not soak"

test-soak: $(VENV)/installed-dev
	$(VENV)/bin/pytest -n 2 --dist worksteal -m soak

test-fast: $(VENV)/installed-dev
	$(VENV)/bin/pytest -n 2 --dist worksteal -m "not slow"

check: $(VENV)/installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

format: $(VENV)/installed-dev
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet $(TORCH)
	$(VENV)/bin/pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(VENV)/bin/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
