"""Objects of a concept in many images: bad images, resuming, and what is reported."""

from __future__ import annotations

import pytest
from PIL import Image

import napari_sam as ns
from napari_sam.errors import CancelledError, ImageError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.find.find_in_images import find_in_images
from napari_sam.samples import nuclei, nuclei_labels


@pytest.fixture(scope="module")
def predictor():
    return ns.Predictor(device="cpu")


@pytest.fixture(scope="module")
def nucleus(predictor):
    return ns.Concept.from_examples(nuclei(), nuclei_labels(), positive=[1], predictor=predictor, name="nucleus")


@pytest.fixture
def images(tmp_path):
    """A folder with two small images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, (y, x) in enumerate(((60, 130), (200, 200))):
        Image.fromarray(nuclei()[y : y + 160, x : x + 160]).save(folder / f"i{number}.png")
    return folder


def test_every_image_of_a_folder_gets_a_store(predictor, nucleus, images, tmp_path):
    told, done = [], []
    results = find_in_images(
        images,
        nucleus,
        tmp_path / "out",
        predictor,
        candidates=tmp_path / "kept",
        on_image=lambda result, report: told.append((result, len(report.labels))),
        progress=lambda *steps: done.append(steps),
    )
    assert [result.output.name for result in results] == ["i0.ome.zarr", "i1.ome.zarr"]
    assert [(result, result.objects) for result in results] == told
    assert done == [(1, 2), (2, 2)]
    assert all(result.objects > 0 for result in results)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["i0", "i1"]
    with LabelStore.open(results[0].output, "r") as store:
        assert set(store.table()["category"]) == {"nucleus"}


def test_a_broken_image_does_not_stop_the_others(predictor, nucleus, images, tmp_path):
    (images / "a.png").write_bytes(b"no picture")
    results = find_in_images([images / "a.png", images / "i0.png"], nucleus, tmp_path / "out", predictor)
    assert isinstance(results[0].error, ImageError)
    assert results[1].error is None
    assert results[1].objects > 0


def test_finished_images_are_skipped_and_an_interrupted_one_is_completed(predictor, nucleus, images, tmp_path):
    first = find_in_images(images / "i0.png", nucleus, tmp_path / "out", predictor)
    polls = iter(range(1000))
    with pytest.raises(CancelledError):
        find_in_images(images / "i1.png", nucleus, tmp_path / "out", predictor, cancelled=lambda: next(polls) > 0)
    searched = []
    results = find_in_images(
        images, nucleus, tmp_path / "out", predictor, resume=True, on_image=lambda r, report: searched.append(report)
    )
    assert results[0] == first[0]
    assert results[1].objects > 0
    assert [report is None for report in searched] == [True, False]


def test_an_existing_store_is_an_error_of_its_image_alone(predictor, nucleus, images, tmp_path):
    find_in_images(images / "i0.png", nucleus, tmp_path / "out", predictor)
    results = find_in_images(images, nucleus, tmp_path / "out", predictor)
    assert isinstance(results[0].error, StoreError)
    assert "resume=True" in str(results[0].error)
    assert results[1].objects > 0


def test_the_model_is_that_of_the_concept(nucleus, images, tmp_path):
    assert find_in_images(images / "i0.png", nucleus, tmp_path / "out")[0].error is None


def test_a_folder_without_images_is_an_error(predictor, nucleus, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="holds no image"):
        find_in_images(tmp_path / "empty", nucleus, tmp_path / "out", predictor)
