"""Ranking the images of a project by what a model may learn from them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam import samples
from napari_sam.errors import CancelledError
from napari_sam.project.ranking.image_profile import ImageProfile, profile_image
from napari_sam.project.ranking.profile_files import ProfileFiles
from napari_sam.project.ranking.usefulness import most_useful
from src_models.networks.sam import build_sam


@pytest.fixture
def project(tmp_path):
    """Two images of nuclei and one of noise, then a file that is deleted after it was added."""
    nuclei = samples.nuclei()
    noise = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)
    pictures = {"a": nuclei[:256, :256], "b": nuclei[:256, 256:512], "c": noise, "d": noise}
    for name, pixels in pictures.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="minisblack" if pixels.ndim == 2 else "rgb")
    made = ns.Project.create(tmp_path / "project", user="Ada")
    made.add(tmp_path / "*.tif")
    (tmp_path / "d.tif").unlink()
    return made


def names(images):
    return [image.name for image in images]


def test_what_is_unlike_the_annotated_images_comes_first(project, default_predictor):
    project.image("a.tif").state = "done"
    seen = []
    ranked = project.rank_images(default_predictor, progress=lambda done, total: seen.append((done, total)))
    assert names(ranked) == ["c.tif", "b.tif", "d.tif"]  # what cannot be read is last
    assert seen[-1] == (4, 4)


def test_images_are_looked_at_once_for_each_model(project, default_predictor, monkeypatch):
    first = project.rank_images(default_predictor)

    def refuse(*_, **__):
        raise AssertionError("looked at again")

    monkeypatch.setattr("napari_sam.project.ranking.rank_images.profile_image", refuse)
    project.image("d.tif").state = "done"  # it has no profile, and cannot get one
    assert names(project.rank_images(default_predictor)) == names(first)[:3]


def test_a_folder_that_cannot_be_written_is_no_obstacle(project, default_predictor):
    (project.path / "profiles").write_text("a file in place of the folder")
    assert len(project.rank_images(default_predictor)) == 4


def test_a_cancelled_ranking_keeps_what_it_has_looked_at(project, default_predictor):
    looked_at = [0]

    def report(done, _):
        looked_at[0] = done

    with pytest.raises(CancelledError):
        project.rank_images(default_predictor, progress=report, cancelled=lambda: looked_at[0] == 1)
    kept = ProfileFiles(project.path / "profiles", default_predictor.weights)
    assert kept.get(project.image("a.tif").image_id) is not None
    assert kept.get(project.image("b.tif").image_id) is None


def test_without_annotated_images_the_most_typical_one_comes_first():
    directions = np.float32([[1, 0], [0.8, 0.6], [0, 1]])
    assert most_useful([ImageProfile(d, 0.5) for d in directions], [])[0] == 1
    assert most_useful([], []) == []


def test_of_two_images_as_different_the_less_certain_one_comes_first():
    known = ImageProfile(np.float32([1, 0, 0]), 0.1)
    others = [ImageProfile(np.float32([0, 1, 0]), 0.2), ImageProfile(np.float32([0, 0, 1]), 0.3)]
    assert most_useful(others, [known]) == [1, 0]


@pytest.mark.parametrize("content", [b"", b"nothing", np.float32([0.5, np.nan]).tobytes()])
def test_a_damaged_profile_is_computed_again(tmp_path, content):
    files = ProfileFiles(tmp_path, "f" * 40)
    profile = ImageProfile(np.float32([0.6, 0.8]), 0.25)
    files.put("one", profile)
    (path,) = tmp_path.glob("*/one.npy")
    read = files.get("one")
    assert read is not None
    assert read.uncertainty == 0.25
    np.testing.assert_array_equal(read.embedding, profile.embedding)
    path.write_bytes(content)
    assert files.get("one") is None


def test_a_model_without_dense_decoder_is_asked_at_points():
    predictor = ns.Predictor(build_sam("default", dense=False), device="cpu")
    predictor.set_image(np.random.default_rng(0).integers(0, 255, (70, 90), dtype=np.uint8))
    profile = profile_image(predictor)
    assert 0 <= profile.uncertainty <= 1
    assert np.linalg.norm(profile.embedding) == pytest.approx(1, abs=1e-5)
