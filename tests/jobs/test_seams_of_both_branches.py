"""No tile border shows in the objects that the default model finds by both branches."""

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.jobs import tile_plan

CENTRES = [(y, x) for y in range(40, 600, 80) for x in range(40, 600, 80)]
RADIUS = 17


@pytest.fixture(scope="module")
def disks():
    """Bright disks on a noisy background, many of them on borders of tiles."""
    rng = np.random.default_rng(3)
    yy, xx = np.mgrid[:600, :600]
    truth = np.zeros((600, 600), np.int32)
    for number, (y, x) in enumerate(CENTRES, start=1):
        truth[(yy - y) ** 2 + (xx - x) ** 2 <= RADIUS**2] = number
    image = np.where(truth > 0, 170.0, 60.0) + rng.normal(0, 12, truth.shape)
    return image.clip(0, 255).astype(np.uint8), truth


def test_every_object_on_a_tile_border_is_one_whole_object(disks, default_predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(tile_plan, "_DENSE_WINDOWS", 2)  # small tiles, so that the test is quick
    image, truth = disks
    report = ns.segment_everything(
        image, default_predictor, output=tmp_path / "o.ome.zarr", method="dense", branches="both", side=256
    )
    with report.labels as labels:
        found = labels.array[:]
    assert report.tiles >= 4
    ious, owners = [], []
    for number in range(1, len(CENTRES) + 1):
        mask = truth == number
        candidates, counts = np.unique(found[mask], return_counts=True)
        owner = candidates[counts.argmax()]
        ious.append((mask & (found == owner)).sum() / (mask | (found == owner)).sum() if owner else 0.0)
        owners.append(owner)
    assert min(ious) > 0.9
    assert len(set(owners)) == len(CENTRES) == found.max()
