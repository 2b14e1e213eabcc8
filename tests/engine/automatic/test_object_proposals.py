"""Proposals: the objects of the watershed, and candidates below its thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.automatic.object_proposals import propose_objects
from src_models.watershed import scored_objects
from src_models.watershed_settings import WatershedSettings

SETTINGS = WatershedSettings(sigma_px=0.0, min_predicted_iou=0.9)


def _maps(shape, discs):
    """Return maps with discs (y, x, radius, foreground)."""
    maps = np.ones((3, *shape), np.float32)
    maps[0] = 0
    y, x = np.mgrid[: shape[0], : shape[1]]
    for row, col, radius, foreground in discs:
        depth = np.hypot(y - row, x - col) / radius
        inside = depth < 1
        maps[0][inside] = foreground
        maps[1:, inside] = np.minimum(maps[1:, inside], depth[inside])
    return maps


def test_the_objects_of_the_watershed_come_first_whatever_their_score():
    maps = _maps((60, 90), [(20, 20, 12, 0.9), (30, 65, 15, 0.7)])
    proposals = propose_objects(maps, SETTINGS, 1.0)
    objects = scored_objects(maps, WatershedSettings(sigma_px=0.0))
    assert [p.predicted_iou for p in proposals] == pytest.approx(objects.predicted_iou.tolist())
    assert not any(p.is_candidate for p in proposals)
    for label, proposal in enumerate(proposals, 1):
        assert (objects.labels[proposal.box.slices] == label).sum() == proposal.mask.sum()


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_faint_object_is_a_candidate(scale):
    maps = _maps((61, 90), [(20, 20, 14, 0.9), (30, 65, 15, 0.4)])
    sure, faint = propose_objects(maps, SETTINGS, scale)
    assert faint.is_candidate
    assert not sure.is_candidate
    assert faint.mask.sum() == pytest.approx(np.pi * 15**2, rel=0.15)
    assert np.array(faint.box).tolist() == pytest.approx([15, 50, 46, 81], abs=4)


def test_an_object_that_smoothing_joins_is_also_proposed_in_parts():
    maps = _maps((80, 120), [(40, 50, 20, 0.9), (40, 70, 20, 0.9)])
    proposals = propose_objects(maps, WatershedSettings(sigma_px=4.0), 1.0)
    areas = [int(p.mask.sum()) for p in proposals if p.is_candidate]
    assert sum(not p.is_candidate for p in proposals) == 1
    assert len(areas) == 2
    assert max(areas) < 0.7 * proposals[0].mask.sum()


def test_empty_maps_propose_nothing():
    assert propose_objects(_maps((20, 20), []), SETTINGS, 1.0) == []
