"""Outlines on the planes of a stack: one object for each track."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.errors import NapariSamError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts
from tests.io.exports.writers.stacks.stacks import movie, stack_store

SHAPE = (3, 20, 30)


@pytest.fixture
def stack(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=SHAPE) as store:
        yield store


def written(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def square(frame, track, at, **more):
    """Return an annotation of TAO: a square of 4 x 4 pixels."""
    y, x = at
    corners = [x, y, x + 4, y, x + 4, y + 4, x, y + 4]
    return {"image_id": 10 + frame, "category_id": 1, "bbox": [x, y, 4, 4], "segmentation": [corners], **more} | (
        {} if track is None else {"track_id": track}
    )


def video(annotations, frames=3, **more):
    images = [{"id": 10 + i, "video_id": 1, "frame_index": i, "file_name": f"{i:05d}.jpg"} for i in range(frames)]
    return {"images": images, "categories": [{"id": 1, "name": "cell"}], "annotations": annotations, **more}


@pytest.mark.parametrize("suffix", ["json", "geojson", "zip"])
@pytest.mark.parametrize("axes", ["tyx", "tzyx"])
def test_objects_come_back_with_all_their_planes(tmp_path, suffix, axes):
    labels, parents = movie()
    labels = labels if axes == "tyx" else np.stack([labels, np.roll(labels, 3, axis=-1)], axis=1)
    scales = [60.0, 2.0, 0.5, 0.25][4 - len(axes) :]
    with stack_store(tmp_path / "m.zarr", labels, axes, scales, parents) as store:
        store.set_category(4, "cell")
        path = store.export(tmp_path / f"out.{suffix}")
        planes = store.table().n_planes.tolist()
    with LabelStore.create(tmp_path / "again.zarr", shape=labels.shape) as again:
        ids = again.import_(path)
        back = dict(zip(ids, [1, 4, 5, 2, 3, 6], strict=True))  # in the order of their first planes
        assert np.array_equal(np.vectorize({0: 0, **back}.get)(again.array[...]), labels)
        table = again.table().set_index("label").rename(index=back).sort_index()
        assert table.n_planes.tolist() == planes
        assert table.category[4] == "cell"
        if suffix != "zip":  # ROIs have no parents
            assert {back[c]: back[p] for c, p in again.table().set_index("label").parent.dropna().items()} == parents
        again.undo()
        assert not again.array[...].any()


def test_a_file_of_youtube_vis_gives_an_object_for_each_annotation(stack, tmp_path):
    def parts(*starts):
        return [None if x is None else [[x, 2, x + 4, 2, x + 4, 6, x, 6]] for x in starts]

    def boxes(*starts):
        return [None if x is None else [x, 2, 4, 4] for x in starts]

    entry = {"video_id": 7, "category_id": 1, "iscrowd": 0, "score": 0.75}
    content = {
        "videos": [{"id": 7, "width": 30, "height": 20, "length": 3, "file_names": ["v/0.jpg", "v/1.jpg", "v/2.jpg"]}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": 1, **entry, "segmentations": parts(2, 3, 4), "bboxes": boxes(2, 3, 4)},
            {"id": 2, **entry, "segmentations": parts(20, None, 22), "bboxes": boxes(20, None, 22)},
        ],
    }
    path = written(tmp_path / "vis.json", content)
    assert stack.import_(path) == [1, 2]
    assert [np.unique(stack.array[z]).tolist() for z in range(3)] == [[0, 1, 2], [0, 1], [0, 1, 2]]
    assert stack.array[2, 2:6, 4:8].tolist() == [[1] * 4] * 4
    assert stack.table()[["category", "predicted_iou"]].values.tolist() == [["cell", 0.75]] * 2
    with LabelStore.create(tmp_path / "one.ome.zarr", shape=SHAPE) as other:
        assert other.import_(path, plane=(1,)) == [1]  # that of the plane only
        assert (other.array[1] > 0).sum() == 16


def test_annotations_without_a_track_are_objects_of_one_plane(stack, tmp_path):
    content = video([square(0, 5, (2, 2)), square(1, None, (2, 3)), square(2, 5, (2, 4)), square(2, None, (12, 20))])
    assert stack.import_(written(tmp_path / "t.json", content)) == [1, 2, 3]
    assert stack.table().n_planes.tolist() == [2, 1, 1]


def test_the_first_outline_is_on_top_and_existing_objects_keep_their_pixels(stack, tmp_path):
    stack.paint(np.ones((4, 2), int), (2, 2), plane=(0,))
    content = video([square(0, "a", (2, 2)), square(0, "b", (2, 4)), square(1, "c", (0, 0)), square(1, "d", (0, 0))])
    assert stack.import_(written(tmp_path / "t.json", content)) == [2, 3, 4, 0]
    assert stack.array[0, 2, 2:8].tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (video([square(4, 1, (2, 2))], frames=5), "lies on plane 4, and the stack has 3"),
        ({"annotations": [square(0, 1, (2, 2))]}, "names no plane of the stack"),
        (video([{"image_id": 10, "bbox": [2, 2, 4, 4], "track_id": 1}]), "no outlines"),
        (video([square(0, 1, (2, 2)), {"image_id": 11, "bbox": "x", "track_id": 1}]), "annotation 1: bbox"),
    ],
)
def test_files_that_do_not_fit_the_stack_are_refused(stack, tmp_path, content, words):
    with pytest.raises(NapariSamError, match=words):
        stack.import_(written(tmp_path / "t.json", content))
    assert len(stack) == 0
    assert len(stack.history()) == 0


def test_of_several_videos_the_one_with_the_name_of_the_stack_is_taken(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "b.tif", np.zeros(SHAPE, np.uint8), photometric="minisblack", metadata={"axes": "TYX"})
    images = [{"id": 10 + 3 * v + t, "video_id": v, "frame_index": t} for v in range(2) for t in range(3)]
    content = video([square(0, 1, (2, 2)), square(3, 2, (8, 8)), square(4, 2, (8, 9))])
    content |= {"images": images, "videos": [{"id": 0, "name": "a"}, {"id": 1, "name": "b.tif"}]}
    path = written(tmp_path / "t.json", content)
    with LabelStore.create(tmp_path / "s.ome.zarr", like=tmp_path / "b.tif") as store:
        assert store.import_(path) == [1]
        assert store.table().n_planes.tolist() == [2]
    with (
        LabelStore.create(tmp_path / "other.ome.zarr", shape=SHAPE) as other,
        pytest.raises(NapariSamError, match="2 "),
    ):
        other.import_(path)


def test_annotations_of_a_video_are_prompts_on_their_frames(tmp_path):
    from napari_sam.io.images.open_image import open_image

    path = written(tmp_path / "t.json", video([square(0, 1, (2, 2)), square(1, 1, (8, 8))]))
    frame = open_image(np.zeros(SHAPE, np.uint8), axes="tyx").with_plane((1,), (0,))
    table = read_prompts(path, frame)
    assert table.boxes.tolist() == [[8, 8, 12, 12]]
    assert table.skipped == {"other planes": 1}


def test_a_stack_with_a_single_plane_needs_no_planes(tmp_path):
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(1, 20, 30)) as store:
        assert store.import_(written(tmp_path / "t.json", {"annotations": [square(0, None, (2, 2))]})) == [1]
        assert (store.array[0] > 0).sum() == 16
