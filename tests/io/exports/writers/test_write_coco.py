"""COCO: run lengths, boxes, scores and categories."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam.io.exports.writers import write_coco as export_coco
from napari_sam.io.pixel_runs import runs_by_label
from src_models.training.data.coco_files import decompress, object_mask, read_coco, render


def test_coco_gives_back_every_pixel(store, blobs, tmp_path):
    out = store.export(tmp_path / "cells.json")
    (image,) = read_coco(out)
    assert (image.file_name, image.shape) == ("image.tif", blobs.shape)
    ids = np.array([0, *(a["id"] for a in json.loads(out.read_text())["annotations"])])
    rendered, hidden = render(image.segmentations, image.shape)
    np.testing.assert_array_equal(ids[rendered], blobs)
    assert hidden == 0


def test_coco_boxes_scores_and_categories(small, tmp_path):
    small.set_category(2, "cell")
    content = json.loads(small.export(tmp_path / "c.json").read_text())
    first, second = content["annotations"]
    assert (first["bbox"], first["area"], second["bbox"]) == ([1, 0, 3, 2], 5, [6, 2, 2, 2])
    assert decompress(first["segmentation"]["counts"]) == [6, 2, 4, 2, 5, 1, 28]
    names = {c["id"]: c["name"] for c in content["categories"]}
    assert [names[a["category_id"]] for a in content["annotations"]] == ["object", "cell"]


def test_compressed_run_lengths_match_a_hand_worked_example():
    # 40 = 8 + 1 * 32: "8 goes on" is 8 + 32 + 48 = "X", 1 is "1"; from the fourth on, differences to two before:
    # 3 - 5 = -2, whose five bits are 30, 30 + 48 = "N".
    assert export_coco.compress([40, 5, 7, 3]) == "X157N"
    assert decompress("X157N") == [40, 5, 7, 3]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**11), max_size=12))
def test_compressed_run_lengths_are_decompressed_unchanged(counts):
    assert decompress(export_coco.compress(counts)) == counts


@settings(deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)))
def test_run_lengths_of_any_mask_decode_to_it(mask):
    runs = runs_by_label(np.ascontiguousarray(mask.T.astype(np.uint32)), (0, 0))[2]
    found = np.zeros(mask.shape, bool)
    segmentation = {"size": list(mask.shape), "counts": export_coco.counts_of(runs, mask.shape)}
    part, (y, x) = object_mask(segmentation, mask.shape)
    found[y : y + part.shape[0], x : x + part.shape[1]] = part
    np.testing.assert_array_equal(found, mask)
