"""Candidates on disk: the same when read again, refused where they do not belong, and listed once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.geometry import Box
from napari_sam.errors import StoreError
from napari_sam.io.candidates.candidate_files import MANIFEST, CandidateFiles

LAYOUT = FeatureLayout("abc", "default", (("embedding", 3), ("shape", 2)))
REGION = Box(0, 0, 100, 100)


def some(boxes, seed=0, factor=1, layout=LAYOUT):
    """Candidates with random masks in these boxes."""
    rng = np.random.default_rng(seed)
    boxes = np.array(boxes, np.int64).reshape(-1, 4)
    masks = tuple(rng.random(((b[2] - b[0]) // factor, (b[3] - b[1]) // factor)) < 0.7 for b in boxes)
    scores = rng.random((2, len(boxes))).astype(np.float32)
    return Candidates(boxes, masks, *scores, rng.random((len(boxes), layout.width)).astype(np.float32), layout, factor)


def assert_same(a, b):
    for name in ("boxes", "predicted_iou", "stability_score", "features"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert len(a.masks) == len(b.masks)
    assert all(np.array_equal(x, y) for x, y in zip(a.masks, b.masks, strict=True))
    assert (a.layout, a.factor) == (b.layout, b.factor)


@pytest.fixture
def files(tmp_path):
    made = CandidateFiles(tmp_path / "candidates")
    made.begin({"image": "a.tif", "settings": {"side": 512}})
    return made


@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("boxes", [[], [(0, 0, 8, 12)], [(4, 4, 20, 24), (0, 0, 4, 4), (60, 0, 100, 100)]])
def test_candidates_are_the_same_when_they_are_read_again(files, boxes, factor):
    written = some(boxes, factor=factor)
    files.write(REGION, written)
    assert files.has(REGION, factor)
    assert not files.has(REGION, 2)
    assert_same(CandidateFiles(files.folder).read(REGION, factor), written)
    assert files.regions() == [(REGION, factor)]


def test_a_folder_of_another_image_is_refused(files):
    files.begin({"image": "a.tif", "settings": {"side": 512}})
    with pytest.raises(StoreError, match=r"with image 'a.tif', but image is 'b.tif'"):
        files.begin({"image": "b.tif", "settings": {"side": 512}})
    with pytest.raises(StoreError, match="with side 512, but side is 300"):
        files.begin({"image": "a.tif", "settings": {"side": 300}})


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="is not a folder of candidates"):
        CandidateFiles(tmp_path).begin({"image": "a.tif"})
    with pytest.raises(StoreError, match="is not a folder of candidates"):
        CandidateFiles(tmp_path / "notes.txt").begin({"image": "a.tif"})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_missing_file_is_an_error(files):
    with pytest.raises(StoreError, match=r"f1-0-0-100-100.npz: damaged"):
        files.read(REGION, 1)


@pytest.mark.parametrize("cut", [0, 10, 200, 0.5, 0.9])
def test_a_damaged_file_is_an_error_that_names_it(files, cut):
    files.write(REGION, some([(0, 0, 30, 30), (10, 10, 50, 60)]))
    (path,) = files.folder.glob("*.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    with pytest.raises(StoreError, match="delete this file"):
        files.read(REGION, 1)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("shapes", np.array([[1 << 40, 1]])),
        ("shapes", np.array([[-3, 5]])),
        ("masks", np.zeros(3, np.uint8)),
        ("features", np.zeros((1, 4), np.float32)),
        ("features", np.array([["a"] * 5])),
        ("boxes", np.zeros((2, 4), np.int64)),
        ("about", np.array("[1]")),
    ],
)
def test_arrays_that_do_not_fit_are_an_error(files, name, array):
    files.write(REGION, some([(0, 0, 30, 30)]))
    (path,) = files.folder.glob("*.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, name: array})
    with pytest.raises(StoreError, match="damaged"):
        files.read(REGION, 1)


def test_a_damaged_manifest_is_an_error(files):
    (files.folder / MANIFEST).write_text("{")
    with pytest.raises(StoreError, match=MANIFEST):
        files.begin({"image": "a.tif"})


def test_without_regions_there_are_no_candidates(tmp_path):
    assert CandidateFiles(tmp_path / "none").all() is None
    assert CandidateFiles(tmp_path / "none").regions() == []


def test_what_two_regions_see_is_listed_once_from_where_it_is_farthest_from_the_border(files):
    left, right = Box(0, 0, 100, 100), Box(0, 60, 100, 160)
    shared = some([(20, 70, 40, 90)], seed=1)
    files.write(left, Candidates.concatenate([some([(0, 0, 10, 10)]), shared]))
    files.write(right, Candidates.concatenate([some([(50, 120, 60, 130)], seed=2), shared]))
    found = files.all()
    assert sorted(map(tuple, found.boxes.tolist())) == [(0, 0, 10, 10), (20, 70, 40, 90), (50, 120, 60, 130)]


def test_what_a_region_has_cut_is_left_to_the_other(files):
    left, right = Box(0, 0, 100, 100), Box(0, 60, 100, 160)
    files.write(left, some([(20, 80, 40, 100)]))
    files.write(right, some([(20, 80, 40, 120)]))
    assert files.all().boxes.tolist() == [[20, 80, 40, 120]]


def test_alike_candidates_of_one_region_are_all_listed(files):
    files.write(REGION, some([(10, 10, 40, 40), (10, 10, 40, 41)]))
    assert len(files.all()) == 2


def test_of_a_coarser_factor_only_large_candidates_are_listed(files):
    files.write(REGION, some([(0, 0, 10, 10)]))
    files.write(Box(0, 0, 400, 400), some([(0, 0, 12, 12), (100, 100, 300, 300)], factor=4))
    found = files.all()
    assert found.factor == 1
    assert found.boxes.tolist() == [[0, 0, 10, 10], [100, 100, 300, 300]]
    assert found.masks[1].shape == (200, 200)
