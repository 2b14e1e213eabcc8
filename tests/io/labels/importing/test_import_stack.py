"""Label images of whole stacks: one object through all planes for each number."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import CancelledError, LabelsError
from napari_sam.io.labels.label_store import LabelStore


@pytest.fixture
def volume():
    """Two objects through planes, of which one is missing on a plane, and one on a single plane."""
    labels = np.zeros((4, 30, 40), np.uint16)
    labels[0:3, 2:8, 3:9] = 7
    labels[1:4, 15:20, 20:30] = 300
    labels[2, 15:20, 20:30] = 0
    labels[3, 0:2, 0:2] = 20
    return labels


@pytest.fixture
def stack(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(4, 30, 40)) as store:
        yield store


def written(tmp_path, volume, name="labels.ome.tif", axes="ZYX"):
    tifffile.imwrite(tmp_path / name, volume, photometric="minisblack", metadata={"axes": axes})
    return tmp_path / name


def test_a_number_becomes_one_object_on_all_of_its_planes(stack, volume, tmp_path):
    assert stack.import_(written(tmp_path, volume), category="cell") == [1, 2, 3]
    expected = np.select([volume == 7, volume == 20, volume == 300], [1, 2, 3])
    np.testing.assert_array_equal(stack.array[...], expected)
    assert stack.table()[["label", "n_planes", "category"]].values.tolist() == [
        [1, 3, "cell"],
        [2, 1, "cell"],
        [3, 2, "cell"],
    ]
    stack.undo()
    assert not stack.array[...].any()
    assert len(stack) == 0


def test_an_exported_stack_comes_back_with_its_objects(stack, volume, tmp_path):
    stack.import_(written(tmp_path, volume))
    for name in ("again.zarr", "again.ome.tif"):
        exported = stack.export(tmp_path / name)
        with LabelStore.create(tmp_path / f"store of {name}", shape=stack.shape) as other:
            other.import_(exported)
            np.testing.assert_array_equal(other.array[...], stack.array[...])


def test_objects_that_exist_keep_their_pixels(stack, volume, tmp_path):
    stack.paint(np.full((30, 40), 1), (0, 0), plane=(3,))
    assert stack.import_(written(tmp_path, volume)) == [2, 0, 4]
    assert stack.planes(4)["plane"].tolist() == [(1,)]


def test_axes_of_the_same_names_belong_together_in_any_order(volume, tmp_path):
    movie = np.stack([volume, volume[::-1]])  # t, z
    path = written(tmp_path, np.swapaxes(movie, 0, 1), "zt.ome.tif", axes="ZTYX")
    with LabelStore.create(tmp_path / "movie.ome.zarr", shape=(2, 4, 30, 40), axes="tzyx") as store:
        store.import_(path)
        np.testing.assert_array_equal(store.array[...] > 0, movie > 0)


def test_a_stack_of_another_size_is_refused_with_both_sizes(stack, volume, tmp_path):
    with pytest.raises(LabelsError, match=r"labels of z 3, y 30, x 40 do not fit a store of z 4, y 30, x 40"):
        stack.import_(written(tmp_path, volume[:3]))
    assert not stack.can_undo


@pytest.mark.parametrize("pixels", [np.full((4, 30, 40), -1, np.int16), np.zeros((4, 30, 40), np.float32)])
def test_values_that_are_no_ids_are_refused(stack, tmp_path, pixels):
    with pytest.raises(LabelsError, match=r"from -1|are not labels"):
        stack.import_(written(tmp_path, pixels))


def test_a_cancelled_import_is_undone_in_one_step(stack, volume, tmp_path):
    done = []
    with pytest.raises(CancelledError):
        stack.import_(
            written(tmp_path, volume), progress=lambda n, _: done.append(n), cancelled=lambda: done[-1:] == [6]
        )
    assert stack.array[:2].any()
    assert not stack.array[2:].any()
    stack.undo()
    assert not stack.array[...].any()
