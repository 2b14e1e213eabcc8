"""Default paths of label stores."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "names", [("cells.tif", "cells.png"), ("a b.tif", "a_b.tif"), ("x" * 90 + "1", "x" * 90 + "2")]
)
def test_different_images_never_share_a_store(tmp_path, names):
    from napari_sam.io.labels.store_paths import store_path

    paths = {store_path("image", str(tmp_path / name)) for name in names}
    assert len(paths) == 2
    assert {path.parent for path in paths} == {tmp_path}
