"""A project as a data set: training reads back what was accepted, and the card tells what there is."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_sam as ns
from napari_sam import samples
from napari_sam.cli import main
from napari_sam.errors import ProjectError, SettingsError
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.io.labels.editing.commit_many import NewObject
from napari_sam.project.dataset import export_dataset as export
from src_models.training.data.datasets import read_dataset

LEFT, RIGHT = np.s_[60:220, 130:300], np.s_[220:400, 100:290]


def pixels_and_labels(where):
    """Return a part of the sample image with its labels, from 1 without gaps."""
    labels = samples.nuclei_labels()[where]
    return samples.nuclei()[where], np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(int)


@pytest.fixture
def project(tmp_path):
    """Two images; all objects of one and one object of the other are accepted."""
    made = ns.Project.create(tmp_path / "p", user="Ada")
    for name, where in (("a", LEFT), ("b", RIGHT)):
        pixels, labels = pixels_and_labels(where)
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels)
        (image,) = made.add(tmp_path / f"{name}.tif", condition="treated").added
        with image.labels() as store:
            store.paint(labels if name == "a" else np.where(labels == 1, 1, 0), (0, 0))
    made.images()[0].state = "done"
    return made


def masks(labels):
    """Return the objects of a label image, whatever their ids are."""
    return {(labels == label).tobytes() for label in np.unique(labels[labels > 0])}


def stored(image):
    with ns.LabelStore.open(image.labels_path, "r") as store:
        return np.asarray(store.array)


@pytest.fixture
def exported(project, tmp_path):
    report = project.export(tmp_path / "data", ("pairs", "coco", "ome-zarr"))
    assert (report.images, report.pictures, report.failed, report.notes) == (2, 2, {}, ())
    return tmp_path / "data"


@pytest.mark.parametrize("place", ["", "instances.json", "zarr"])
def test_training_reads_back_equal_objects(project, exported, place):
    paths = sorted((exported / "zarr").iterdir()) if place == "zarr" else [exported / place]
    read = [image for path in paths for image in read_dataset(path).images]
    for image, back in zip(project.images(), read, strict=True):
        assert masks(back.labels) == masks(stored(image)) != set()
        assert back.image.shape == (*stored(image).shape, 3)
        assert back.image.std() > 10


def test_evaluation_reads_the_pairs_and_the_card_has_its_figures(project, exported):
    counts = [len(sample.truth().objects) for sample in find_samples(exported, "pairs")]
    card = json.loads((exported / "card.json").read_text())
    assert card["objects"] == sum(counts) == sum(image.objects for image in project.images())
    assert (card["images"], card["complete"], card["kinds"]) == (2, 1, {"uint8 x 1": 2})
    assert (card["stage"], card["by"]) == ({"manual": card["objects"]}, {"Ada": card["objects"]})
    figures = {row["what"]: row["mean"] for row in card["composition"]}
    assert figures["masks per image"] == np.mean(counts)
    assert 0 < figures["concavity"] < 0.3
    text = (exported / "README.md").read_text()
    assert f"2 images, 2 pictures in the files, {card['objects']} objects" in text
    assert "| Ada |" in text
    assert "![centres.png](centres.png)" in text


def test_tables_and_annotations_tell_how_each_object_came(exported):
    objects = pd.read_csv(exported / "objects.csv")
    assert set(objects["stage"]) == {"manual"}
    assert pd.read_csv(exported / "images.csv")["complete"].tolist() == [True, False]
    coco = json.loads((exported / "instances.json").read_text())
    assert len(coco["annotations"]) == len(objects)
    assert {row["by"] for row in coco["annotations"]} == {"Ada"}
    assert coco["images"][0]["condition"] == "treated"


def test_objects_that_nobody_accepted_are_left_out(project, tmp_path):
    image = project.images()[1]
    with image.labels() as store:
        found = store.commit_many([NewObject(np.ones((9, 9), bool), (171, 0, 180, 9))])
    report = project.export(tmp_path / "data", state="in work")
    assert (report.images, report.objects) == (1, 1)
    assert not np.isin(read_dataset(tmp_path / "data").images[0].labels, found).any()
    image.state = "checked"
    assert project.export(tmp_path / "checked", state="checked").objects == 2


def test_large_images_become_parts(project, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_TILE_PX", 90)
    report = project.export(tmp_path / "data", ("pairs",), state="done")
    assert report.pictures > 1
    assert len(read_dataset(tmp_path / "data").images) == report.pictures


def test_a_moved_image_is_named_and_the_others_are_written(project, tmp_path, capsys):
    (tmp_path / "b.tif").unlink()
    assert main(["project", "export", str(project.path), str(tmp_path / "data"), "--coco", "--json"]) == 1
    streams = capsys.readouterr()
    result = json.loads(streams.out)
    assert (result["images"], result["failed"]) == (1, [str(tmp_path / "b.tif")])
    assert "has moved" in streams.err
    assert not (tmp_path / "data" / "labels").exists()
    (tmp_path / "a.tif").unlink()
    with pytest.raises(ProjectError, match="none of 2 images can be read"):
        project.export(tmp_path / "other")


def test_of_two_images_with_the_same_pixels_one_is_written(project, tmp_path):
    shutil.copy(tmp_path / "a.tif", tmp_path / "twin.tif")
    (twin,) = project.add(tmp_path / "twin.tif").added
    with twin.labels() as store:
        store.paint(np.ones((9, 9), int), (0, 0))
    report = project.export(tmp_path / "data")
    assert report.notes == ("twin.tif has the same pixels as a.tif, and is left out: a.tif is farther",)
    assert report.images == 2


def test_images_of_different_kinds_are_pointed_out(project, tmp_path, rng):
    tifffile.imwrite(tmp_path / "deep.tif", rng.integers(0, 9000, (40, 50), dtype=np.uint16))
    (image,) = project.add(tmp_path / "deep.tif").added
    with image.labels() as store:
        store.paint(np.ones((9, 9), int), (0, 0))
    assert "uint16 x 1, uint8 x 1" in project.export(tmp_path / "data").notes[0]


def test_what_cannot_be_exported_changes_nothing(project, tmp_path):
    with pytest.raises(SettingsError, match="format is 'yolo'; choose from pairs, coco"):
        project.export(tmp_path / "data", ("yolo",))
    with pytest.raises(ProjectError, match="none of 0 images has accepted objects"):
        project.export(tmp_path / "data", state="checked")
    with pytest.raises(ProjectError, match="is not empty"):
        project.export(tmp_path)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project.export(tmp_path / "data", progress=stop)
    assert not (tmp_path / "data").exists()
    assert not list(tmp_path.glob(".data*"))
