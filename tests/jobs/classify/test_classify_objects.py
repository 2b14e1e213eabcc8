"""Objects of a store that get classes from those classified by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam.errors import CancelledError, ConceptError, ImageError
from napari_sam.jobs.classify.store_features import store_features


@pytest.fixture(scope="module")
def drawing():
    """Bright discs and dark squares on grey; labels 1 to 8 are discs, 9 to 16 squares."""
    image, labels = np.full((256, 256), 120, np.uint8), np.zeros((256, 256), np.uint32)
    y, x = np.mgrid[:256, :256]
    for i in range(16):
        cy, cx = 32 + 64 * (i // 4), 32 + 64 * (i % 4)
        is_disc = i < 8
        mask = (y - cy) ** 2 + (x - cx) ** 2 < 200 if is_disc else (abs(y - cy) < 11) & (abs(x - cx) < 11)
        image[mask], labels[mask] = 220 if is_disc else 30, i + 1
    return image + np.random.default_rng(0).integers(0, 15, image.shape, np.uint8), labels


@pytest.fixture
def store(drawing, tmp_path):
    image, labels = drawing
    with ns.LabelStore.create(tmp_path / "s", like=image) as store:
        store.paint(labels, (0, 0))
        store.set_category({1: "disc", 2: "disc", 9: "square", 10: "square"})
        yield store


def test_objects_get_the_class_of_those_like_them_in_one_step(drawing, store, default_predictor):
    report = ns.classify_objects(drawing[0], store, default_predictor)
    assert store.classes.counts() == {"disc": 8, "square": 8}
    assert store.select(category="disc") == list(range(1, 9))
    assert sorted(report.labels) == sorted(report.written) == [*range(3, 9), *range(11, 17)]
    assert np.all(np.diff(report.certainty) >= 0)
    assert report.confusion.counts.tolist() == [[2, 0], [0, 2]]
    assert report.table().columns.tolist() == ["label", "category", "certainty"]
    store.undo()
    assert store.classes.counts() == {"disc": 2, "square": 2}


def test_only_sure_objects_are_written(drawing, store, default_predictor):
    report = ns.classify_objects(drawing[0], store, default_predictor, certainty=1.0)
    assert report.written == ()
    assert len(report.labels) == 12
    assert store.classes.counts() == {"disc": 2, "square": 2}


def test_a_classifier_is_used_on_another_image(drawing, store, default_predictor, tmp_path):
    image, labels = drawing
    learned = ns.classify_objects(image, store, default_predictor, write=False).classifier
    with ns.LabelStore.create(tmp_path / "other", like=image) as other:
        other.paint(labels, (0, 0))
        ns.classify_objects(image[::-1].copy(), other, default_predictor, classifier=learned)
        assert learned.examples == {"disc": 2, "square": 2}
        assert sum(other.classes.counts().values()) == 16


def test_objects_of_a_stack_are_measured_on_their_largest_plane(drawing, default_predictor, tmp_path):
    image, labels = drawing
    both = np.stack([np.full_like(image, 120), image])
    tifffile.imwrite(tmp_path / "i.tif", both, metadata={"axes": "ZYX"}, ome=True)
    with ns.LabelStore.create(tmp_path / "s", like=tmp_path / "i.tif", stack=True) as store:
        store.paint(labels, (0, 0), plane=(1,))
        store.paint(labels[:40], (0, 0), plane=(0,))
        measured = store_features(ns.open_image(tmp_path / "i.tif"), store, None, default_predictor)
    with ns.LabelStore.create(tmp_path / "plane", like=image) as store:
        store.paint(labels, (0, 0))
        alone = store_features(ns.open_image(image), store, None, default_predictor)
    assert measured.labels == alone.labels
    similar = [np.corrcoef(a, b)[0, 1] for a, b in zip(measured.features, alone.features, strict=True)]
    assert min(similar) > 0.95


def test_too_few_classes_another_image_and_cancelling(drawing, store, default_predictor):
    with pytest.raises(ImageError):
        ns.classify_objects(drawing[0][:100], store, default_predictor)
    with pytest.raises(CancelledError):
        ns.classify_objects(drawing[0], store, default_predictor, cancelled=lambda: True)
    store.set_category([9, 10], None)
    with pytest.raises(ConceptError, match="1 class,"):
        ns.classify_objects(drawing[0], store, default_predictor)
    with pytest.raises(ConceptError, match="certainty"):
        ns.classify_objects(drawing[0], store, default_predictor, certainty=2)
