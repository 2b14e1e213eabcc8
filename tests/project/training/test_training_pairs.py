"""Which objects are trained on, and how images are split."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam import samples
from napari_sam.errors import ProjectError
from napari_sam.project.training.training_pairs import COMPLETE, PARTIAL, VALIDATION, accepted_objects, write_pairs


def test_images_are_split_whole_and_always_alike(project, tmp_path):
    first, again = (write_pairs(project.images(), tmp_path / name) for name in "ab")
    assert first.checksum == again.checksum
    assert sum(first.images.values()) == 4
    assert first.images[VALIDATION] >= 1
    assert first.images[COMPLETE] + first.images.get(PARTIAL, 0) >= 1
    ids = {folder: {p.name.split("-")[0] for p in (tmp_path / "a" / folder).iterdir()} for folder in first.images}
    assert not ids[VALIDATION] & ids[COMPLETE]
    for labels in (tmp_path / "a").rglob("*.labels.tif"):
        pixels = tifffile.imread(labels.with_name(labels.name.replace(".labels.", ".image.")))
        assert pixels.shape == (128, 128, 3)
        assert tifffile.imread(labels).any()


def test_a_changed_object_changes_the_checksum(project, tmp_path):
    before = write_pairs(project.images(), tmp_path / "a").checksum
    with project.image("i0.png").labels() as store:
        store.paint(np.full((9, 9), 99), (100, 100))
    assert write_pairs(project.images(), tmp_path / "b").checksum != before


def test_automatic_objects_count_only_when_a_person_accepted_them(project):
    image = project.image("i3.png")
    with image.labels() as store:
        store.delete(list(store.journal.objects.labels()))
        ns.segment_everything(image.source, output=store)
        reviewed, corrected = sorted(store.journal.objects.labels())[:2]
    assert accepted_objects(image) == frozenset()
    with image.labels() as store:
        store.review(reviewed, "accepted")
        store.paint(np.full((5, 5), 99), (120, 110))
    assert accepted_objects(image) == {reviewed, 99}
    with image.labels() as store:
        box = store.mask(corrected)[1]
        store.paint(np.full((3, 3), corrected), (box.y0, box.x0))
    assert accepted_objects(image) == {reviewed, corrected, 99}
    with image.labels() as store:
        ns.segment_everything(image.source, output=store)
    image.state = "checked"
    assert len(accepted_objects(image)) == image.objects


def test_objects_that_nobody_accepted_are_background_of_a_partial_pair(project, tmp_path):
    image = project.image("i3.png")
    with image.labels() as store:
        ns.segment_everything(image.source, output=store)
    accepted = accepted_objects(image)
    pairs = write_pairs(project.images(), tmp_path / "a")
    (labels,) = (tmp_path / "a").rglob(f"{image.image_id}-*.labels.tif")
    assert set(np.unique(tifffile.imread(labels))) <= {0, *accepted}
    assert labels.parent.name in (PARTIAL, VALIDATION)
    assert sum(pairs.pairs.values()) == 4


def test_large_images_are_cut_into_parts_with_objects(tmp_path):
    project = ns.Project.create(tmp_path / "p")
    for number in range(2):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, np.tile(samples.nuclei(), (4, 4)) + number)
        (image,) = project.add(path).added
        with image.labels() as store:
            store.paint(np.ones((20, 20), np.int64), (30, 40))
        image.state = "done"
    pairs = write_pairs(project.images(), tmp_path / "pairs")
    assert pairs.pairs == {VALIDATION: 1, COMPLETE: 1}
    shapes = {tifffile.imread(path).shape for path in (tmp_path / "pairs").rglob("*.labels.tif")}
    assert len(shapes) == 1
    assert max(shapes.pop()) < 1600


def test_one_image_is_too_few(project, tmp_path):
    with pytest.raises(ProjectError, match="1 image of 1 with accepted objects: too few"):
        write_pairs(project.images()[:1], tmp_path / "a")
    with pytest.raises(ProjectError, match="no images of 0 with accepted objects"):
        write_pairs([], tmp_path / "b")
