"""The command line as a whole: exit statuses, and the ways to start it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_sam import samples
from napari_sam.cli import main
from napari_sam.cli.parser import COMMANDS

NUCLEI = str(samples.NUCLEI)


@pytest.mark.parametrize("arguments", [["segment", NUCLEI, "--point", "1;2"], ["segment"], ["nonsense"]])
def test_bad_arguments_are_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_without_a_command_all_commands_are_listed(capsys):
    assert main([]) == 2
    listed = capsys.readouterr().err
    assert all(command.name in listed for command in COMMANDS)


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "napari_sam", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("napari-sam-xl ")


def test_starting_imports_no_heavy_library():
    heavy = ("numpy", "scipy", "torch", "napari", "qtpy", "zarr", "pandas")
    code = (
        "import sys; from napari_sam.cli.parser import command_parser; command_parser(); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_whose_name_begins_with_a_minus_is_a_file(tmp_path, monkeypatch, capsys):
    tifffile.imwrite(tmp_path / "-x.tif", np.zeros((8, 9), np.uint8))
    monkeypatch.chdir(tmp_path)
    assert main(["info", "-x.tif", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [8, 9]


@pytest.mark.parametrize("name", ["x" * 5000, "~no_such_user_here/a"])
@pytest.mark.parametrize("command", ["info {}.tif", "export {}.ome.zarr o.csv", f"everything {NUCLEI} {{}}"])
def test_names_that_no_file_can_have_are_one_line(capsys, name, command):
    assert main(command.format(name).split(" ")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 600
