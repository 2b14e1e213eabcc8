"""Run the notebooks and keep their output.

Run ``make notebooks``, or ``xvfb-run -a -s "-screen 0 1600x1000x24" python docs/scripts/run_notebooks.py NAME ...``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
_PAUSE_S = 2.0  # between two cells, in which a window draws


def main() -> None:
    """Run the notebooks that the command line names, or all."""
    names = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    parser = argparse.ArgumentParser(description="Run the notebooks and keep their output.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)} (default: all)")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(names))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(names)}")
    for name in args.names or names:
        begin = time.monotonic()
        run(NOTEBOOKS / f"{name}.ipynb")
        sys.stderr.write(f"{name}: {time.monotonic() - begin:.0f} s\n")


def run(path: Path) -> None:
    """Run a notebook in an empty folder and write it back with its output, without progress and warnings."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        options = {"timeout": 1800, "record_timing": False, "on_cell_executed": lambda **_: time.sleep(_PAUSE_S)}
        NotebookClient(notebook, resources=resources, **options).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data.pop("text/html", None)  # the same picture again
    notebook.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(notebook).replace(f"{folder}/", "")
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
