"""Objects on several planes: one change, one undo step, and edits of single planes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.engine.propagation.plane_prompts import PlanePrompt
from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square

SHAPE = (6, 40, 50)


@pytest.fixture
def stack(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=SHAPE) as store:
        yield store


def column(planes, side=4, origin=(10, 20), scores=()):
    """Return masks of a square column through planes."""
    y, x = origin
    scores = dict(zip(planes, scores, strict=False))
    return {z: (square(side), (y, x, y + side, x + side), scores.get(z)) for z in planes}


def followed(planes, scores, index):
    """Return what a store reads of a propagation: on plane z a square of z + 1 pixels."""
    return SimpleNamespace(
        planes=planes,
        scores=scores,
        model="default",
        prompts={planes[0]: PlanePrompt(((1.0, 2.0),), (1,))},
        index=index,
        mask=lambda z: (square(z + 1), (0, 0, z + 1, z + 1)),
    )


def planes_of(store, label):
    return store.planes(label)["plane"].tolist()


def assert_table_fits_pixels(store):
    """Compare the object table, and that of the planes, with the pixels."""
    pixels = store.array[...]
    for row in store.table().itertuples():
        at = np.argwhere(pixels == row.label)
        assert row.area_px == len(at)
        assert (row.y0, row.x0, row.y1, row.x1) == (*at[:, 1:].min(0), *(at[:, 1:].max(0) + 1))
        parts = store.planes(row.label)
        assert parts["plane"].tolist() == [(z,) for z in np.unique(at[:, 0])]
        assert row.n_planes == len(parts)
        assert row.plane == str(at[:, 0].min())
        for part in parts.itertuples():
            inside = at[at[:, 0] == part.plane[0], 1:]
            assert part.area_px == len(inside)
            assert (part.y0, part.x0, part.y1, part.x1) == (*inside.min(0), *(inside.max(0) + 1))
    assert set(np.unique(pixels)) - {0} == set(store.table()["label"])


def test_an_object_gets_pixels_on_all_planes_and_one_row(stack):
    label = stack.commit_planes(column([1, 2, 4], scores=(0.9, 0.5, 0.7)), category="cell", source={"model": "default"})
    row = stack.table().iloc[0]
    assert (row.label, row.area_px, row.n_planes, row.plane) == (label, 48, 3, "1")
    assert (row.predicted_iou, row.category, row.model) == (0.5, "cell", "default")
    assert stack.planes(label)["predicted_iou"].tolist() == [0.9, 0.5, 0.7]
    mask, box = stack.mask(label, (4,))
    assert mask.all()
    assert box == (10, 20, 14, 24)
    assert_table_fits_pixels(stack)


def test_one_undo_step_takes_all_planes_back(stack):
    stack.commit_planes(column([0]))
    stack.commit_planes(column([1, 2, 3], origin=(0, 0)))
    stack.undo()
    assert stack.table()["n_planes"].tolist() == [1]
    assert not stack.array[1:].any()
    stack.redo()
    assert planes_of(stack, 2) == [(1,), (2,), (3,)]
    assert_table_fits_pixels(stack)


def test_a_propagation_is_read_plane_by_plane(stack):
    label = stack.commit_planes(followed([2, 3], {2: 0.8, 3: 0.6}, lambda z: (z,)))
    assert stack.object(label)["model"] == "default"
    prompts = stack.history()["record"][0]["prompts"]
    assert prompts == [{"plane": [2], "points": [[1.0, 2.0]], "point_labels": [1]}]
    assert stack.planes(label)[["area_px", "predicted_iou"]].values.tolist() == [[9, 0.8], [16, 0.6]]


def test_planes_of_an_existing_object_are_replaced_and_others_stay(stack):
    label = stack.commit_planes(column([0, 1, 2], scores=(0.9, 0.4, 0.8)))
    stack.commit_planes(column([1], side=6, origin=(0, 0), scores=(0.7,)), label=label)
    assert stack.planes(label)["area_px"].tolist() == [16, 36, 16]
    assert stack.object(label)["predicted_iou"] == 0.7
    stack.undo()
    assert stack.planes(label)["area_px"].tolist() == [16, 16, 16]
    assert stack.object(label)["predicted_iou"] == 0.4
    assert_table_fits_pixels(stack)


def test_an_empty_mask_takes_the_object_off_its_plane(stack):
    label = stack.commit_planes(column([0, 1, 2]))
    stack.commit_planes({0: (np.zeros((3, 3), bool), (0, 0, 3, 3)), 1: (square(2), (5, 5, 7, 7))}, label=label)
    assert planes_of(stack, label) == [(1,), (2,)]
    assert_table_fits_pixels(stack)


@pytest.mark.parametrize(("overlap", "kept"), [("keep", 16), ("replace", 12)])
def test_other_objects_keep_or_lose_shared_pixels_on_each_plane(stack, overlap, kept):
    stack.commit_planes(column([1, 2]))
    stack.commit_planes(column([1, 2, 3], origin=(12, 22)), overlap=overlap)
    assert stack.planes(1)["area_px"].tolist() == [kept, kept]
    assert_table_fits_pixels(stack)


def test_masks_erase_an_object_or_all_objects(stack):
    stack.commit_planes(column([1, 2]))
    stack.commit_planes(column([2, 3], origin=(14, 20)))
    stack.commit_planes(column([2, 3], side=8), label=1, overlap="erase")
    assert (planes_of(stack, 1), planes_of(stack, 2)) == ([(1,)], [(2,), (3,)])
    stack.commit_planes(column([1, 2, 3], side=8), overlap="erase")
    assert len(stack) == 0


def test_a_click_corrects_one_plane_of_an_object(stack):
    label = stack.commit_planes(column([0, 1, 2], scores=(0.95, 0.95, 0.95)))
    stack.commit(predicted(square(6), (0, 0)), label=label, plane=(1,))
    assert stack.planes(label)["area_px"].tolist() == [16, 36, 16]
    assert stack.object(label)["predicted_iou"] == pytest.approx(0.9)
    assert_table_fits_pixels(stack)


def test_a_click_is_written_to_the_plane_that_was_segmented(stack):
    prediction = predicted(square(6), (0, 0))
    on_plane = replace(prediction, context=replace(prediction.context, plane=(4,)))
    label = stack.commit(on_plane)
    assert planes_of(stack, label) == [(4,)]
    stack.commit(on_plane, label=label, plane=(2,))
    assert planes_of(stack, label) == [(2,), (4,)]
    with pytest.raises(LabelsError, match=r"plane \(\) does not fit"):
        stack.commit(prediction)


def test_an_object_is_erased_on_one_plane_or_as_a_whole(stack):
    label = stack.commit_planes(column([0, 1, 2]))
    stack.erase(label, (0,))
    assert planes_of(stack, label) == [(1,), (2,)]
    assert_table_fits_pixels(stack)
    stack.erase(label)
    assert len(stack) == 0
    assert not stack.array[...].any()
    stack.undo()
    assert planes_of(stack, label) == [(1,), (2,)]


def test_painting_gives_an_object_pixels_on_another_plane(stack):
    stack.paint(np.full((2, 3), 7), (0, 0), plane=(0,))
    stack.paint(np.full((2, 2), 7), (5, 5), plane=(3,))
    assert stack.table()[["label", "area_px", "n_planes"]].values.tolist() == [[7, 10, 2]]
    assert_table_fits_pixels(stack)


def test_objects_of_different_planes_merge(stack):
    stack.commit_planes(column([0, 1], scores=(0.9, 0.8)))
    stack.commit_planes(column([1, 2], origin=(0, 0), scores=(0.3, 0.6)))
    assert stack.merge([1, 2]) == 1
    assert stack.planes(1)[["area_px", "predicted_iou"]].values.tolist() == [[16, 0.9], [32, 0.8], [16, 0.6]]
    assert_table_fits_pixels(stack)
    stack.undo()
    assert stack.planes(2)["predicted_iou"].tolist() == [0.3, 0.6]


def test_an_object_or_some_of_its_planes_get_another_id(stack):
    stack.commit_planes(column([0, 1, 2, 3], scores=(0.1, 0.2, 0.3, 0.4)), category="cell")
    stack.relabel(1, 5, planes=[(2,), (3,)])
    assert (planes_of(stack, 1), planes_of(stack, 5)) == ([(0,), (1,)], [(2,), (3,)])
    assert stack.object(5)["category"] == "cell"
    assert stack.object(5)["predicted_iou"] == 0.3
    stack.relabel(5, 9)
    assert stack.planes(9)["predicted_iou"].tolist() == [0.3, 0.4]
    assert_table_fits_pixels(stack)


def test_an_object_is_split_on_one_plane(stack):
    stack.commit_planes(column([0, 1]))
    stack.paint(np.zeros((4, 1)).astype(int), (10, 21), plane=(1,))
    assert stack.split(1, plane=(1,)) == [1, 2]
    assert stack.planes(1)["area_px"].tolist() == [16, 8]
    assert stack.planes(2)["area_px"].tolist() == [4]
    assert_table_fits_pixels(stack)


def test_a_rejected_object_vanishes_from_all_planes(stack):
    stack.commit_planes(column([0, 1, 2]))
    stack.review(1, "rejected")
    assert not stack.array[...].any()
    stack.undo()
    assert stack.table()["n_planes"].tolist() == [3]


def test_objects_survive_reopening_and_repair(stack):
    stack.commit_planes(column([0, 2], scores=(0.5, 0.6)))
    stack.commit_planes(column([1, 2], origin=(0, 0)), parent=1)
    before = stack.table()
    stack.close()
    with LabelStore.repair(stack.path) as repaired:
        assert repaired.table().equals(before)
        assert_table_fits_pixels(repaired)


@pytest.mark.parametrize(
    ("planes", "message"),
    [
        ({}, "no plane is given"),
        ({6: (square(2), (0, 0, 2, 2))}, r"plane \(6,\) does not exist in a store of shape \(6, 40, 50\)"),
        ({(0, 1): (square(2), (0, 0, 2, 2))}, r"plane \(0, 1\) does not exist"),
        ({0: (square(2), (0, 0, 3, 2))}, r"the mask of plane \(0,\) has the shape \(2, 2\)"),
        ({0: square(3)}, "a plane has ndarray instead of a mask"),
        ({0: (square(2), (90, 0, 92, 2))}, "lies outside the image"),
        ({0: (np.zeros((2, 2)), (0, 0, 2, 2))}, "the masks of all planes are empty"),
    ],
)
def test_masks_that_do_not_fit_are_refused_and_nothing_changes(stack, planes, message):
    with pytest.raises(LabelsError, match=message):
        stack.commit_planes(planes)
    assert len(stack) == 0
    assert not stack.can_undo


def test_a_mask_under_other_objects_is_refused(stack):
    stack.commit_planes(column([0, 1]))
    with pytest.raises(LabelsError, match="wholly under other objects"):
        stack.commit_planes(column([0, 1]))


def test_an_object_on_several_planes_has_no_single_mask(stack):
    stack.commit_planes(column([0, 1]))
    with pytest.raises(LabelsError, match="object 1 lies on 2 planes"):
        stack.mask(1)
    with pytest.raises(LabelsError, match=r"object 1 does not lie on plane \(5,\)"):
        stack.mask(1, (5,))


def test_planes_of_two_leading_axes_have_two_indices(tmp_path):
    with LabelStore.create(tmp_path / "movie.ome.zarr", shape=(3, 2, 20, 20)) as store:
        with pytest.raises(LabelsError, match=r"plane \(0,\) does not exist"):
            store.commit_planes({0: (square(2), (0, 0, 2, 2))})
        store.commit_planes(followed([1, 0], {}, lambda z: (2, z)))
        assert store.planes(1)["plane"].tolist() == [(2, 0), (2, 1)]


def test_a_single_image_keeps_its_table_and_journal_as_they_were(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(40, 50)) as store:
        store.commit(predicted(square(3)))
        assert not {"plane", "n_planes", "parent"} & set(store.table().columns)
        assert not {"n_planes", "parent"} & store.object(1).keys()
        assert store.planes(1)["plane"].tolist() == [()]
        assert store.journal.objects.all_parts() == []
