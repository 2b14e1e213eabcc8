"""The workflows for Snakemake and Nextflow in the docs: their commands run, and continue."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore
from tests.docs.doc_pages import DOCS
from tests.docs.page_files import folder_of_cells


def workflow(name):
    text = (DOCS / "guides" / "batch.md").read_text(encoding="utf-8")
    return re.search(rf'^```text title="{name}"\n(.*?)^```', text, re.MULTILINE | re.DOTALL)[1]


def rules():
    """Return the shell command and the output of each rule of the Snakefile."""
    parts = re.split(r"^rule (\w+):\n", workflow("Snakefile"), flags=re.MULTILINE)[1:]
    found = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        shell = re.search(r'shell:\s+"(.*?)"$', body, re.MULTILINE)
        output = re.search(r'output:\s+(?:touch\()?"(.*?)"', body)
        found[name] = (shell and shell[1], output and output[1])
    return found


def run(command):
    program, *words = shlex.split(command)
    assert program == "napari-sam"
    return main([*words, "--device", "cpu"] if "measure" not in words else words)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder_of_cells(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(folder):
    table = pd.read_csv(folder / "cells.csv")
    for name in "ab":
        with LabelStore.open(folder / "labels" / f"{name}.ome.zarr", "r") as store:
            assert (table["image"] == f"images/{name}.tif").sum() == len(store) > 0
    summary = pd.read_csv(folder / "labels" / "everything_summary.csv")
    assert summary["state"].tolist() == ["done", "done"]


def test_the_commands_of_the_snakemake_rules_run_image_by_image_and_make_one_table(folder, capsys):
    (segment, _), (measure, output) = rules()["segment"], rules()["measure"]
    for name in "ab":
        assert run(segment.format(input=f"images/{name}.tif")) == 0
    assert run(segment.format(input="images/a.tif")) == 0  # Snakemake restarts a job that it lost
    assert run(measure.format(output=output)) == 0
    assert "2 of 2 are done already, with the same settings" in capsys.readouterr().err
    check(folder)


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="snakemake is not installed")
def test_snakemake_runs_the_workflow(folder, monkeypatch):
    program = folder / "bin" / "napari-sam"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m napari_sam "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    (folder / "Snakefile").write_text(workflow("Snakefile"))
    command = ["snakemake", "--cores", "1", "--keep-going"]
    subprocess.run(command, check=True, capture_output=True)
    check(folder)
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_commands_of_the_nextflow_processes_run(folder):
    scripts = re.findall(r'"""\n\s+(.*?)\n\s+"""', workflow("main.nf"), re.DOTALL)
    values = {"image.simpleName": "a", "image": "images/a.tif", "labels": "a.ome.zarr"}
    for script in scripts:
        assert run(re.sub(r"\$\{([\w.]+)\}", lambda match: values[match[1]], script)) == 0
    assert len(pd.read_csv("a.csv")) > 0
