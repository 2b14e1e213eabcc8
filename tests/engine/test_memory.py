"""Freed memory goes back to the operating system after large work only."""

from __future__ import annotations

import sys

import pytest

from napari_sam.engine.memory import LARGE_PX, find_malloc_trim, trim_heap


@pytest.mark.parametrize(("pixels", "calls"), [(LARGE_PX - 1, []), (LARGE_PX, [0])])
def test_the_heap_is_trimmed_after_large_work_only(pixels, calls):
    trimmed = []
    trim_heap(pixels, trim=trimmed.append)
    assert trimmed == calls


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_glibc_can_trim_its_heap():
    trim = find_malloc_trim()
    assert trim is None or trim(0) in (0, 1)


def test_without_glibc_nothing_is_trimmed():
    trim_heap(LARGE_PX, trim=None)
