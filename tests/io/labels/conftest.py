"""An empty label store for the tests."""

from __future__ import annotations

import pytest

from napari_sam.io.labels.label_store import LabelStore


@pytest.fixture
def labels(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(3000, 2500)) as store:
        yield store
