"""Damaged files of every kind: an error of ours, or a result; never a traceback, a hang or much memory.

More by hand: ``NAPARI_SAM_FUZZ=300 pytest tests/fuzz`` takes 300 seeds for each kind.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
import warnings

import pytest

from napari_sam.errors import NapariSamError
from tests.fuzz.entry_points import ENTRY_POINTS, files_of
from tests.fuzz.mutations import damage_file

SEEDS = int(os.environ.get("NAPARI_SAM_FUZZ", "13"))
_MOST_S, _MOST_KB = 30, 1_000_000


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_sound_files_are_read(name, tmp_path):
    make, read = ENTRY_POINTS[name]
    try:
        read(make(tmp_path))
    except NapariSamError as error:
        if name not in ("safetensors", "torch"):  # a single tensor is no network
            raise AssertionError(f"{name}: {error}") from error


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_damaged_files_give_a_result_or_an_error_with_a_reason(name, tmp_path):
    make, read = ENTRY_POINTS[name]
    (tmp_path / "sound").mkdir()
    sound = make(tmp_path / "sound")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faults = []
    for seed in range(SEEDS):
        folder = tmp_path / str(seed)
        shutil.copytree(tmp_path / "sound", folder)
        path, rng = folder / sound.relative_to(tmp_path / "sound"), random.Random(f"{name}-{seed}")
        damaged = rng.choice(files_of(path))
        damage_file(damaged, rng)
        begun = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
        except NapariSamError:
            pass
        except Exception as error:  # noqa: BLE001 - every other kind is a fault
            faults.append(f"seed {seed}, {damaged.name}: {type(error).__name__}: {error}"[:300])
        if time.monotonic() - begun > _MOST_S:
            faults.append(f"seed {seed}, {damaged.name}: took {time.monotonic() - begun:.0f} s")
        shutil.rmtree(folder, ignore_errors=True)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert faults == []
    assert grown < _MOST_KB, f"{name}: {grown} kB"
