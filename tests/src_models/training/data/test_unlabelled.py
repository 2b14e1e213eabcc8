"""Images without labels: found, decoded, cached and cropped."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from src_models.model_errors import TrainingError
from src_models.training.data.unlabelled import UnlabelledImages, find_images, random_crop, read_planes


def test_images_are_found_in_folders_and_by_pattern(folder):
    names = [path.name for path in find_images(folder, ["pictures"])]
    assert names == ["a.image.tif", "b.png", "broken.png", "c.JPG"]
    assert [p.name for p in find_images(folder, ["pictures/**/?.[pJ]*", "pictures/b.png"])] == ["b.png", "c.JPG"]
    assert len(find_images(folder / "elsewhere", [str(folder / "pictures")])) == 4


def test_patterns_without_images_are_named(folder):
    with pytest.raises(TrainingError, match="nowhere"):
        find_images(folder, ["pictures", "nowhere"])
    with pytest.raises(TrainingError, match=r"notes\.txt"):
        find_images(folder, ["pictures/notes.txt"])
    with pytest.raises(TrainingError, match="at least one folder"):
        find_images(folder, [])


def test_crops_do_not_depend_on_earlier_reads(folder):
    paths = find_images(folder, ["pictures"])
    warm, cold = UnlabelledImages(paths), UnlabelledImages(paths)
    for seed in range(8):
        warm.draw(32, np.random.default_rng(seed))
    for seed in (3, 5):
        crops = [images.draw(32, np.random.default_rng(seed)) for images in (warm, cold)]
        np.testing.assert_array_equal(*crops)


def test_the_cache_stays_within_its_limit(folder, rng):
    one = 96 * 96 * 3
    images = UnlabelledImages(find_images(folder, ["pictures"]), cache_bytes=2 * one)
    sizes = set()
    for _ in range(30):
        images.draw(32, rng)
        sizes.add(images.cached_bytes)
    assert sizes == {one, 2 * one}
    assert len(images) == 4


@pytest.mark.parametrize(
    ("shape", "planes", "size"),
    [
        ((40, 50), 1, (40, 50)),
        ((40, 50, 4), 1, (40, 50)),
        ((2, 40, 50), 1, (40, 50)),
        ((9, 40, 50), 9, (40, 50)),
        ((5, 3, 40, 50), 5, (40, 50)),
        ((100, 16, 17), 16, (16, 17)),
    ],
)
def test_stacks_and_channels_become_pictures(shape, planes, size, tmp_path, rng):
    tifffile.imwrite(tmp_path / "x.tif", rng.integers(0, 60000, shape).astype(np.uint16), photometric="minisblack")
    read = read_planes(tmp_path / "x.tif")
    assert [p.shape for p in read] == [(*size, 3)] * planes
    assert all(p.dtype == np.uint8 and p.max() == 255 for p in read)


def test_missing_values_become_the_smallest(tmp_path):
    image = np.linspace(5, 6, 32 * 32, dtype=np.float32).reshape(32, 32)
    image[0, 0], image[31, 31] = np.nan, np.inf
    tifffile.imwrite(tmp_path / "x.tif", image)
    (plane,) = read_planes(tmp_path / "x.tif")
    assert plane[0, 0, 0] == plane[31, 31, 0] == 0


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((8, 200), np.uint8), "8 x 200"),
        (np.zeros((20, 20), np.complex64), "complex64"),
        (np.full((20, 20), np.nan, np.float32), "no finite"),
    ],
)
def test_arrays_that_are_not_images_are_refused(array, reason, tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", array)
    with pytest.raises(TrainingError, match=reason):
        read_planes(tmp_path / "x.tif")


def test_a_huge_image_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("src_models.training.data.unlabelled._MAX_BYTES", 1000)
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((40, 40), np.uint8))
    with pytest.raises(TrainingError, match="smaller files"):
        read_planes(tmp_path / "x.tif")


def test_crops_show_half_to_double_scale(rng):
    """On a ramp of one grey value per pixel, the difference across a crop tells the scale."""
    ramp = np.repeat(np.broadcast_to(np.arange(250, dtype=np.uint8), (250, 250))[..., None], 3, 2)
    spans = [float(np.ptp(random_crop(ramp, 64, rng))) + 1 for _ in range(200)]
    assert 31 <= min(spans) < 36
    assert 118 < max(spans) <= 129
    assert np.median(spans) == pytest.approx(64, rel=0.15)


@pytest.mark.parametrize("shape", [(16, 16), (16, 300), (63, 64)])
def test_small_images_are_enlarged_to_fill_the_crop(shape, rng):
    image = np.full((*shape, 3), 200, np.uint8)
    for _ in range(20):
        assert (random_crop(image, 96, rng) == 200).all()


def test_label_images_and_pictures_of_the_run_are_not_data(tmp_path):
    for name in ("a.png", "a_masks.png", "labels/a.png", "runs/mae/pictures/000500.png", "b.labels.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32)).save(tmp_path / name)
    found = find_images(tmp_path, ["."], without=tmp_path / "runs" / "mae")
    assert [p.relative_to(tmp_path).as_posix() for p in found] == ["a.png"]
