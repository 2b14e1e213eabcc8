"""Folders of label stores: made, refused, overwritten, repaired."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
import zarr

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square


def test_a_store_of_a_newer_version_is_refused_and_not_changed(tmp_path):
    LabelStore.create(tmp_path / "s", shape=(100, 100)).close()
    with sqlite3.connect(tmp_path / "s" / "journal.sqlite") as db:
        db.execute("UPDATE meta SET value = '7' WHERE key = 'format'")
    db.close()
    with pytest.raises(StoreError, match=r"format 7.*upgrade"):
        LabelStore.open(tmp_path / "s")
    with pytest.raises(StoreError, match="format 7"):  # the lock was given back
        LabelStore.open(tmp_path / "s")


def test_folders_that_are_no_stores_are_refused(tmp_path):
    with pytest.raises(StoreError, match=r"LabelStore\.create"):
        LabelStore.open(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="journal is missing"):
        LabelStore.open(tmp_path / "folder", "r")
    with pytest.raises(StoreError, match="not overwritten"):
        LabelStore.create(tmp_path / "folder", shape=(9, 9), overwrite=True)
    assert (tmp_path / "folder" / "thesis.txt").exists()
    with pytest.raises(StoreError, match="exists already"):
        LabelStore.create(tmp_path / "folder", shape=(9, 9))


def test_overwrite_replaces_a_store(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(100, 100)) as labels:
        labels.commit(predicted(square()))
    with LabelStore.create(tmp_path / "s", shape=(50, 60), overwrite=True) as labels:
        assert labels.shape == (50, 60)
        assert len(labels) == 0


@pytest.mark.parametrize("shape", [None, (5,), (0, 4), (2**31, 4), (1, 1, 1, 1, 5, 5)])
def test_invalid_shapes_are_refused(tmp_path, shape):
    with pytest.raises(LabelsError, match="shape"):
        LabelStore.create(tmp_path / "s", shape=shape)


def test_a_store_for_a_stack_has_its_planes_axes_scales_and_units(tmp_path):
    image = open_image(write_movie(tmp_path / "movie.ome.zarr"))
    assert image.array_axes == "tczyx"
    with LabelStore.create(tmp_path / "s.ome.zarr", like=image, stack=True) as labels:
        assert (labels.shape, labels.meta("axes")) == ((2, 3, 40, 50), "tzyx")
        labels.commit_planes({(1, z): (square(3), (5, 6, 8, 9)) for z in range(3)})
        exported = labels.export(tmp_path / "e.zarr")
    for folder in (tmp_path / "s.ome.zarr", exported):
        found = open_image(folder)
        assert found.plane_axes == {"t": 2, "z": 3}
        assert [found.placement(axis) for axis in "tzyx"] == [
            AxisPlacement(30.0, 0.0, "second"),
            AxisPlacement(2.5, 10.0, "micrometer"),
            AxisPlacement(0.5, 0.0, "micrometer"),
            AxisPlacement(0.25, 0.0, "micrometer"),
        ]
        assert found.with_plane((1, 2), found.selected).read(0, 4, 4, 9, 9)[..., 0].sum() == 9


def write_movie(path):
    """Write an OME-Zarr 0.5 image (t, c, z, y, x) of zeros, as other programs do."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("0", shape=(2, 1, 3, 40, 50), chunks=(1, 1, 1, 40, 50), dtype=np.uint8)
    kinds = {"t": ("time", "second"), "c": ("channel", None), "z": ("space", "micrometer")}
    axes = [
        {"name": axis, "type": kind} | ({"unit": unit} if unit else {})
        for axis in "tczyx"
        for kind, unit in [kinds.get(axis, ("space", "micrometer"))]
    ]
    transformations = [
        {"type": "scale", "scale": [30.0, 1.0, 2.5, 0.5, 0.25]},
        {"type": "translation", "translation": [0.0, 0.0, 10.0, 0.0, 0.0]},
    ]
    datasets = [{"path": "0", "coordinateTransformations": transformations}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": "m", "axes": axes, "datasets": datasets}]}
    return path


def test_a_stack_of_more_than_2_to_the_31_voxels_is_written_at_its_far_corner(tmp_path):
    shape = (2000, 40_000, 40_000)
    corner = (39_990, 39_990, 39_995, 39_995)
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=shape) as labels:
        labels.commit_planes({z: (square(5), corner) for z in (0, 1000, 1999)})
        assert labels.planes(1)["plane"].tolist() == [(0,), (1000,), (1999,)]
        labels.erase(1, (1000,))
    with LabelStore.open(tmp_path / "s.ome.zarr", "r") as labels:
        assert labels.array[1999, 39_990, 39_994] == 1
        assert labels.read(corner, plane=(1000,)).sum() == 0
        assert labels.object(1)["area_px"] == 50


def test_a_stack_of_one_plane_is_a_stack(tmp_path):
    image = open_image(np.zeros((1, 20, 30), np.uint8), axes="zyx")
    with LabelStore.create(tmp_path / "s", like=image, stack=True) as labels:
        assert labels.shape == (1, 20, 30)
        labels.commit_planes({0: (square(3), (0, 0, 3, 3))})
        assert labels.mask(1)[0].all()
        assert labels.table()[["plane", "n_planes"]].values.tolist() == [["0", 1]]


def test_without_an_image_axes_and_scales_are_given(tmp_path):
    given = {"shape": (4, 20, 30), "axes": "tyx", "scale": (10, 0.5, 0.5)}
    with LabelStore.create(tmp_path / "s", **given) as labels:
        assert labels.meta("axes") == "tyx"
        assert labels.scale == (0.5, 0.5)
    assert open_image(tmp_path / "s").placement("t").scale == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shape": (4, 20, 30), "axes": "yzx"}, r"axes 'yzx' do not name the 3 axes.*\btyx, cyx, zyx"),
        ({"shape": (4, 5, 20, 30), "axes": "ztyx"}, r"axes 'ztyx'.*use one of tcyx, tzyx"),
        ({"shape": (20, 30), "axes": "zyx"}, "axes 'zyx' do not name the 2 axes"),
        ({"shape": (4, 20, 30), "scale": (0, 1, 1)}, r"scale \(0, 1, 1\) is invalid"),
        ({"shape": (4, 20, 30), "scale": (float("nan"), 1)}, "scale .* is invalid"),
        ({"shape": (4, 20, 30), "scale": (1, 2, 3, 4)}, "for all 3 axes"),
        ({"like": np.zeros((20, 30), np.uint8), "stack": True}, r"the image of shape \(20, 30\) has one plane"),
    ],
)
def test_axes_and_scales_that_do_not_fit_are_refused(tmp_path, given, message):
    with pytest.raises(LabelsError, match=message):
        LabelStore.create(tmp_path / "s", **given)
    assert not (tmp_path / "s").exists()


def test_a_store_like_a_stack_has_all_of_its_planes_unless_told_otherwise(tmp_path):
    image = open_image(np.zeros((5, 30, 40), np.uint8), axes="zyx")
    with LabelStore.create(tmp_path / "s", like=image) as labels:
        assert labels.shape == (5, 30, 40)
    with LabelStore.create(tmp_path / "plane", like=image, stack=False) as labels:
        assert labels.shape == (30, 40)


def test_an_image_of_another_shape_is_refused(tmp_path):
    image = open_image(np.zeros((100, 120), np.uint8))
    LabelStore.create(tmp_path / "s", like=image).close()
    LabelStore.open(tmp_path / "s", like=image).close()
    with pytest.raises(StoreError, match=r"do not fit the image \(100, 121\)"):
        LabelStore.open(tmp_path / "s", like=open_image(np.zeros((100, 121), np.uint8)))


def test_a_relative_path_stays_where_it_was_when_the_working_folder_changes(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    labels = LabelStore.create("x.ome.zarr", shape=(50, 50))
    monkeypatch.chdir(tmp_path / "b")
    labels.paint(np.ones((5, 5), int), (0, 0))
    labels.close()
    assert not (tmp_path / "b" / "x.ome.zarr").exists()
    with LabelStore.open(tmp_path / "a" / "x.ome.zarr", "r") as labels:
        assert labels.array[0, 0] == 1


def test_repair_opens_a_store_without_the_metadata_of_a_level(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3000, 50)) as labels:
        labels.commit(predicted(square(40)))
        labels.commit(predicted(square(40), (2000, 0)))
        labels.undo()
        before = [level[...] for level in labels.levels]
    (tmp_path / "s" / "1" / "zarr.json").unlink()
    with pytest.raises(StoreError, match="repair"):
        LabelStore.open(tmp_path / "s")
    with LabelStore.repair(tmp_path / "s") as labels:
        for level, pixels in zip(labels.levels, before, strict=True):
            np.testing.assert_array_equal(level[...], pixels)
        assert labels.can_redo


def test_an_interrupted_creation_does_not_block_the_name(tmp_path, monkeypatch):
    from napari_sam.io.labels import store_files

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_files.Journal, "create", fail)
        with pytest.raises(KeyboardInterrupt):
            LabelStore.create(tmp_path / "s", shape=(50, 50))
    assert not (tmp_path / "s").exists()
    LabelStore.create(tmp_path / "s", shape=(50, 50)).close()
