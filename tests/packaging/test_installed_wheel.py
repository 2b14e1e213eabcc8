"""The wheel works where the source tree is not: in an environment of its own, which only sees the dependencies."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """A function that runs Python with the wheel of this tree, outside of the tree."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=False)
    own = folder / "env" / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    if os.name == "nt":
        own = folder / "env/Lib/site-packages"
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(own)
    # The dependencies come after the wheel; editable ones are not followed, because .pth files do not nest.
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    program = folder / ("env/Scripts/python.exe" if os.name == "nt" else "env/bin/python")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}

    def run(*words):
        done = subprocess.run([program, *words], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder = folder
    return run


def test_it_is_the_wheel_and_finds_its_model_and_its_sample(python):
    code = (
        "import napari_sam as ns, sys; from napari_sam import samples\n"
        "p = ns.Predictor(device='cpu'); p.set_image(samples.NUCLEI)\n"
        "print(ns.__file__); print(int(p.predict(points=[(122, 182)]).mask.sum()))"
    )
    place, area = python("-c", code).split()
    assert Path(place).is_relative_to(python.folder)
    assert 1000 < int(area) < 4000


def test_the_command_segments_and_lists_models(python):
    assert "default" in python("-m", "napari_sam", "models", "list")
    sample = python("-c", "from napari_sam import samples; print(samples.NUCLEI)").strip()
    python("-m", "napari_sam", "segment", sample, "--point", "122,182", "--output", "mask.tif")
    assert (python.folder / "mask.tif").stat().st_size > 0


def test_its_entry_points_are_the_command_and_the_plugin(python):
    code = (
        "from importlib.metadata import distribution as d\n"
        "print(sorted((e.group, e.value) for e in d('napari-sam-xl').entry_points))"
    )
    expected = [("console_scripts", "napari_sam.cli:main"), ("napari.manifest", "napari_sam:napari.yaml")]
    assert python("-c", code).strip() == str(expected)
