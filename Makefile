# Every target sets up what it needs on a machine with git, make and Python >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYSTEM := xvfb libgl1 libgl1-mesa-dri libegl1 libxkbcommon-x11-0 libdbus-1-3 libxcb-cursor0 libxcb-icccm4 \
	libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-xinerama0 libxcb-shape0 libxcb-xfixes0
WINDOW = $(shell test -n "$$DISPLAY" -o -z "$$(command -v xvfb-run)" || echo xvfb-run -a -s '"-screen 0 1600x1000x24 -noreset"')

.PHONY: install demo test lint docs screenshots notebooks report bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@if command -v apt-get >/dev/null && ! command -v xvfb-run >/dev/null; then \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq python3-venv $(SYSTEM) >/dev/null; \
		else echo "For windows and tests, run once: sudo apt-get install $(SYSTEM)"; fi; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

demo: install  ## segment the sample image: in a window where there is a display, headless where there is none
	$(BIN)/napari-sam demo --out demo

test: install
	OMP_NUM_THREADS=1 GOMP_SPINCOUNT=0 $(WINDOW) $(BIN)/python -m pytest -n 2 --dist loadgroup

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install  ## the documentation site in build/site; a broken link or anchor is an error
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/python docs/scripts/pages.py
	$(BIN)/zensical build --strict

screenshots: install  ## every picture in docs/images, from a real window in a virtual display
	xvfb-run -a -s '-screen 0 1600x1200x24' $(BIN)/python docs/scripts/screenshots.py

notebooks: install  ## run the notebooks in a virtual display and keep their output
	xvfb-run -a -s '-screen 0 1600x1000x24' $(BIN)/python docs/scripts/run_notebooks.py

report: install  ## the default model's report in docs/, from the data in ../shared/data; resumes
	$(BIN)/napari-sam evaluate all ../shared/data --out runs/report
	rm -rf docs/report && cp -r runs/report/report docs/report
	cp runs/report/report.md runs/report/summary.csv docs/ && mv docs/summary.csv docs/report/summary.csv

bench: install
	$(BIN)/python -m benchmarks.networks
	$(BIN)/python -m benchmarks.click

clean:
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache
