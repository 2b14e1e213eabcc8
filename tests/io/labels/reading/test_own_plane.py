"""Labels of one plane of a stack go with that plane wherever their image is opened again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_sam.cli import main
from napari_sam.concept import Concept
from napari_sam.errors import ImageError
from napari_sam.evaluation.datasets.label_store_format import find_store_samples
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.label_view import LabelView
from napari_sam.io.labels.reading.own_plane import open_own_image

VALUES = (10, 60, 200)


@pytest.fixture
def stack(tmp_path):
    """A stack whose planes have one value each but for a square of the double."""
    planes = np.stack([np.full((64, 80), value // 2, np.uint8) for value in VALUES])
    planes[:, 10:30, 10:40] *= 2
    tifffile.imwrite(tmp_path / "z.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    return tmp_path / "z.tif"


def _store(folder, image, plane):
    with LabelStore.create(folder / "l.ome.zarr", like=open_image(image).with_plane(plane, (0,)), stack=False) as store:
        store.paint(np.ones((20, 30), np.uint32), (10, 10))
    return folder / "l.ome.zarr"


def _means(table):
    return pd.read_csv(table)["intensity_mean_0"].tolist()


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_objects_are_measured_on_the_plane_that_they_were_made_on(stack, tmp_path, plane):
    path = _store(tmp_path, stack, (plane,))
    with LabelStore.open(path, "r") as store:
        assert store.measure(str(stack))["intensity_mean_0"].tolist() == [VALUES[plane]]
        assert store.select(f"intensity_mean_0 == {VALUES[plane]}", image=str(stack)) == [1]
    assert main(["measure", str(path), str(stack), "--out", str(tmp_path / "t.csv")]) == 0
    assert main(["measure", str(path), "--out-dir", str(tmp_path / "out")]) == 0
    assert _means(tmp_path / "t.csv") == _means(tmp_path / "out" / "l.csv") == [VALUES[plane]]


def test_another_plane_is_measured_where_it_is_asked_for(stack, tmp_path):
    path = _store(tmp_path, stack, (2,))
    assert main(["measure", str(path), str(stack), "--plane", "1", "--out", str(tmp_path / "t.csv")]) == 0
    assert _means(tmp_path / "t.csv") == [VALUES[1]]


def test_labels_of_an_image_beside_the_stack_need_the_plane(stack, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "flat.tif", np.zeros((64, 80), np.uint8))
    path = _store(tmp_path, tmp_path / "flat.tif", ())
    with LabelStore.open(path, "r") as store, pytest.raises(ImageError, match="3 along z"):
        store.measure(str(stack))
    assert main(["measure", str(path), str(stack), "--out", str(tmp_path / "t.csv")]) == 2
    assert "not known which; name it with --plane" in capsys.readouterr().err


def test_stores_of_earlier_versions_tell_the_plane_by_the_identity(stack):
    facts = {"shape": [64, 80], "image": {"identity": "z|plane(2,)|channels(0,)", "uri": str(stack)}}
    assert open_own_image(str(stack), facts.get).plane == (2,)
    facts["image"]["identity"] = "z"
    assert open_own_image(str(stack), facts.get).plane == (0,)


def test_the_plane_lies_below_the_objects_in_pictures_and_evaluations(stack, tmp_path):
    path = _store(tmp_path, stack, (2,))
    with LabelStore.open(path, "r") as store:
        assert LabelView(store)._image.plane == (2,)
    [sample] = find_store_samples(path)
    assert sample.source().plane == (2,)


def test_channels_are_those_that_were_segmented(tmp_path):
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((5, 64, 80), np.uint8), metadata={"axes": "CYX"})
    with LabelStore.create(tmp_path / "l.ome.zarr", like=open_image(tmp_path / "c.tif", channels=(3,))) as store:
        assert LabelView(store)._image.selected == (3,)


def test_a_concept_is_learned_on_the_plane_of_the_labels(stack, tmp_path, capsys):
    path = _store(tmp_path, stack, (2,))
    given, known = tmp_path / "given.concept", tmp_path / "known.concept"
    learn = ["concept", str(stack), str(path), "--positive", "1", "--name", "a"]
    assert main([*learn, "--plane", "2", "--out", str(given)]) == 0
    assert main([*learn, "--out", str(known)]) == 0
    assert "plane" not in capsys.readouterr().err
    assert given.read_bytes() == known.read_bytes()
    with LabelStore.open(path, "r") as store:
        concept = Concept.from_examples(str(stack), store, [1], name="a")
    concept.save(tmp_path / "library.concept")
    assert (tmp_path / "library.concept").read_bytes() == given.read_bytes()


@pytest.mark.parametrize("count", [3, 5])
def test_a_stack_of_another_number_of_planes_is_refused(stack, tmp_path, count, capsys):
    with LabelStore.create(tmp_path / "v.ome.zarr", shape=(4, 64, 80)) as store:
        store.paint(np.ones((5, 5), np.uint32), (0, 0), plane=(3,))
    tifffile.imwrite(tmp_path / "o.tif", np.zeros((count, 64, 80), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    command = ["measure", str(tmp_path / "v.ome.zarr"), str(tmp_path / "o.tif"), "--out", str(tmp_path / "t.csv")]
    for more in ([], ["--volumes"]):
        assert main([*command, *more]) == 2
        assert f"z {count} do not fit labels of axes zyx and shape (4, 64, 80)" in capsys.readouterr().err


def test_a_plane_with_labels_of_a_stack_is_refused(stack, tmp_path, capsys):
    with LabelStore.create(tmp_path / "v.ome.zarr", like=open_image(stack), stack=True) as store:
        store.paint(np.ones((5, 5), np.uint32), (0, 0), plane=(1,))
    command = ["measure", str(tmp_path / "v.ome.zarr"), str(stack), "--plane", "1", "--out", str(tmp_path / "t.csv")]
    assert main(command) == 2
    assert "leave --plane out" in capsys.readouterr().err


@pytest.mark.parametrize("content", [np.full((64, 80, 3), 1, np.uint8), np.full((64, 80), 1.5, np.float32)])
def test_a_concept_of_a_picture_that_holds_no_labels_names_the_file(stack, tmp_path, content, capsys):
    tifffile.imwrite(tmp_path / "l.tif", content)
    command = ["concept", str(stack), str(tmp_path / "l.tif"), "--positive", "1", "--plane", "0"]
    assert main([*command, "--out", str(tmp_path / "c.concept")]) == 2
    assert "l.tif: " in (err := capsys.readouterr().err)
    assert "not labels; give a label store, or a label image of whole numbers" in err
