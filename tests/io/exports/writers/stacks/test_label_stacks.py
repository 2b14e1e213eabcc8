"""Label stacks keep one id through all planes, and the distances of planes and frames."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_sam as ns
from tests.io.exports.writers.stacks.stacks import movie, stack_store


@pytest.fixture
def volumes():
    """Return (t, z, y, x) labels of the movie, shifted from plane to plane."""
    frames, _ = movie()
    return np.stack([frames, np.roll(frames, 3, axis=-1)], axis=1)


@pytest.fixture
def store(tmp_path, volumes):
    with stack_store(tmp_path / "m.zarr", volumes, "tzyx", (60.0, 2.0, 0.5, 0.25), movie()[1]) as opened:
        yield opened


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.zarr"])
def test_label_images_are_the_same_stack(store, volumes, tmp_path, name):
    path = store.export(tmp_path / name)
    if name == "out.zarr":
        with ns.LabelStore.create(tmp_path / "again.zarr", shape=volumes.shape) as again:
            again.import_(path)
            written = again.array[...]
        pairs = np.unique(np.stack([written.ravel(), volumes.ravel()]), axis=1)
        assert len(pairs[0]) == len(np.unique(volumes))  # each object is one again
    else:
        assert np.array_equal(tifffile.imread(path).reshape(volumes.shape), volumes)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.zarr"])
def test_distances_of_planes_and_frames_are_kept(store, tmp_path, name):
    image = ns.open_image(store.export(tmp_path / name))
    sizes = {axis: (image.placement(axis).scale, image.placement(axis).unit) for axis in "tzyx"}
    assert sizes == {
        "t": (60.0, "second"),
        "z": (2.0, "micrometer"),
        "y": (0.5, "micrometer"),
        "x": (0.25, "micrometer"),
    }


def test_imagej_gets_spacing_and_interval(store, volumes, tmp_path):
    path = store.export(tmp_path / "ij.tif", format="imagej-tiff")
    with tifffile.TiffFile(path) as file:
        assert (file.imagej_metadata["spacing"], file.imagej_metadata["finterval"]) == (2.0, 60.0)
        assert np.array_equal(file.asarray(), volumes)


def test_chosen_objects_of_a_stack_are_whole(store, volumes, tmp_path):
    written = tifffile.imread(store.export(tmp_path / "some.tif", labels=[2, 6]))
    assert np.array_equal(written, np.where(np.isin(volumes, [2, 6]), volumes, 0))


def test_tables_and_polygons_have_an_entry_for_each_plane(store, volumes, tmp_path):
    planes = {(int(n), t, z) for t, z in np.ndindex(5, 2) for n in np.unique(volumes[t, z]) if n}
    table = pd.read_csv(store.export(tmp_path / "t.csv"))
    assert {(n, *map(int, plane.split(","))) for n, plane in zip(table["label"], table["plane"], strict=True)} == planes
    features = json.loads(store.export(tmp_path / "t.geojson").read_text())["features"]
    assert len(features) == len(planes)
    coco = json.loads(store.export(tmp_path / "t.json").read_text())["annotations"]
    assert len({entry["id"] for entry in coco}) == len(planes)
    assert {entry["track_id"] for entry in coco} == {1, 2, 3, 4, 5, 6}


def test_coco_of_a_stack_is_a_video_with_tracks(store, tmp_path):
    coco = json.loads(store.export(tmp_path / "t.json", labels=[1, 2, 5]).read_text())
    (video,) = coco["videos"]
    assert (video["length"], video["axes"]) == (10, "tzyx")
    frames = {image["id"]: (image["video_id"], image["frame_index"], image["plane"]) for image in coco["images"]}
    assert [frames[i] for i in (1, 4)] == [(video["id"], 0, [0, 0]), (video["id"], 3, [1, 1])]
    assert [track["id"] for track in coco["tracks"]] == [1, 2, 5]
    assert [track.get("parent") for track in coco["tracks"]] == [None, 1, None]
    of_track = [entry for entry in coco["annotations"] if entry["track_id"] == 2]
    assert [frames[entry["image_id"]][2] for entry in of_track] == [[t, z] for t in (2, 3, 4) for z in (0, 1)]
    assert {entry["video_id"] for entry in coco["annotations"]} == {video["id"]}


def test_polygons_of_a_stack_name_the_object_and_its_parent(store, tmp_path):
    features = json.loads(store.export(tmp_path / "t.geojson", labels=[1, 2]).read_text())["features"]
    named = {(f["properties"]["track_id"], f["properties"].get("parent")) for f in features}
    assert named == {(1, None), (2, 1)}
