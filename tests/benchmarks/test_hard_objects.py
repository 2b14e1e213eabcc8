"""Which objects count as hard, the truth of drawn images, and the table of results."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from benchmarks.hard_objects import drawings
from benchmarks.hard_objects.__main__ import COLUMNS, hard_cases, main, measure, result_table
from benchmarks.hard_objects.selection import (
    HardCase,
    is_large_and_even,
    is_small,
    is_thin,
    real_case,
    reduced_case,
)
from napari_sam.evaluation.datasets.ground_truth import TrueObject, truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.evaluation.experiments.experiment import Record
from napari_sam.evaluation.experiments.point_prompts import PointExperiment

PAINTERS = [drawings.cracks, drawings.roads, drawings.membranes, drawings.even_areas]


def an_object(mask: np.ndarray) -> TrueObject:
    return TrueObject(1, mask, (0, 0))


def a_sample(image: np.ndarray, labels: np.ndarray) -> Sample:
    truth = truth_from_labels(labels)
    return Sample("cells", "a", None, lambda: truth, lambda: image)


@pytest.fixture(scope="module")
def photograph():
    return np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)


def test_a_line_and_a_ring_are_thin_and_a_disc_is_not():
    y, x = np.mgrid[-20:21, -20:21]
    radius = np.hypot(y, x)
    assert is_thin(an_object(np.ones((3, 30), bool)))
    assert is_thin(an_object((radius < 20) & (radius > 17)))
    assert not is_thin(an_object(radius < 20))


def test_a_short_sliver_is_not_thin():
    assert not is_thin(an_object(np.ones((1, 12), bool)))


def test_the_longest_side_decides_whether_an_object_is_small():
    assert is_small(an_object(np.ones((8, 8), bool)))
    assert not is_small(an_object(np.ones((2, 9), bool)))


def test_an_area_with_texture_is_not_even():
    grey = np.zeros((100, 100), np.uint8)
    grey[:50] = 100
    square = TrueObject(1, np.ones((40, 40), bool), (5, 5))
    assert is_large_and_even(square, grey)
    grey[5:45:2, 5:45] = 200
    assert not is_large_and_even(square, grey)
    assert not is_large_and_even(TrueObject(1, np.ones((9, 9), bool), (60, 60)), grey)


def test_a_case_keeps_the_hard_objects_of_its_images():
    labels = np.zeros((60, 60), np.int32)
    labels[5:9, 5:55], labels[20:50, 20:50] = 1, 2
    case = real_case("thin", [a_sample(np.zeros((60, 60), np.uint8), labels)], is_thin)
    assert [(s.dataset, s.name, [o.label for o in s.truth().objects]) for s in case.samples] == [
        ("thin", "cells/a", [1])
    ]
    assert real_case("small", [a_sample(np.zeros((60, 60), np.uint8), labels)], is_small).samples == ()


def test_a_reduced_image_shows_its_objects_six_pixels_wide():
    image, labels = np.zeros((120, 120), np.uint8), np.zeros((120, 120), np.int32)
    for label, (y, x) in enumerate([(10, 10), (10, 70), (70, 10), (70, 70)], start=1):
        labels[y : y + 30, x : x + 30] = label
    image[labels > 0] = 200
    (sample,) = reduced_case("reduced", [a_sample(image, labels)]).samples
    pixels = sample.source()
    assert pixels.shape == (24, 24, 3)
    assert [o.mask.shape for o in sample.truth(pixels.shape[:2]).objects] == [(6, 6)] * 4
    np.testing.assert_array_equal(pixels[:, :, 0] == 200, sample.truth().labels() > 0)


@pytest.mark.parametrize("painter", PAINTERS)
def test_drawings_are_the_same_in_every_run(painter, photograph):
    first, second = (drawings.drawn_case("x", painter, [photograph], 2) for _ in range(2))
    for a, b in zip(first.samples, second.samples, strict=True):
        np.testing.assert_array_equal(a.source(), b.source())
        np.testing.assert_array_equal(a.truth().labels(), b.truth().labels())
    assert (first.samples[0].source() != first.samples[1].source()).any()


@pytest.mark.parametrize("painter", PAINTERS[:3])
def test_drawn_lines_are_thin(painter, photograph):
    objects = [o for s in drawings.drawn_case("x", painter, [photograph], 4).samples for o in s.truth().objects]
    assert len(objects) >= 4
    widths = [2 * ndimage.distance_transform_edt(np.pad(o.mask, 1)).max() for o in objects]
    assert np.median(widths) <= 15
    assert np.mean([is_thin(o) for o in objects]) > 0.8


def test_drawn_areas_fill_the_image_and_are_even(photograph):
    for sample in drawings.drawn_case("x", drawings.even_areas, [photograph], 3).samples:
        labels, grey = sample.truth().labels(), sample.source().mean(2)
        assert (labels > 0).mean() > 0.99
        inside = [grey[labels == o.label].std() for o in sample.truth().objects]
        assert np.median(inside) < grey.std()


def test_cracks_are_darker_than_what_they_cross(photograph):
    (sample,) = drawings.drawn_case("x", drawings.cracks, [photograph], 1).samples
    crack, grey = sample.truth().labels() > 0, sample.source().mean(2)
    around = ndimage.binary_dilation(crack, iterations=4) & ~ndimage.binary_dilation(crack, iterations=2)
    assert grey[crack].mean() < 0.8 * grey[around].mean()


def test_all_cases_of_a_folder_are_found_and_empty_ones_left_out(tmp_path, photograph):
    folder = tmp_path / "cells" / "dev"
    folder.mkdir(parents=True)
    labels = np.zeros(photograph.shape[:2], np.uint16)
    labels[20:24, 10:90], labels[100:106, 50:57] = 1, 2
    tifffile.imwrite(folder / "a.image.tif", photograph)
    tifffile.imwrite(folder / "a.labels.tif", labels)
    cases = {case.name: case for case in hard_cases(tmp_path, "dev", 2)}
    drawn = {"thin: cracks", "thin: roads", "thin: membranes", "even: drawn"}
    assert set(cases) == {"thin: data sets", "small: data sets", *drawn}
    assert [o.label for o in cases["small: data sets"].samples[0].truth().objects] == [2]
    assert len(cases["thin: roads"].samples) == 2
    with pytest.raises(SystemExit, match="rings"):
        main(["--data", str(tmp_path), "--images", "1", "--cases", "rings"])


def test_a_model_is_measured_on_all_columns(default_predictor):
    y, x = np.mgrid[:128, :128]
    labels = (np.hypot(y - 60, x - 60) < 25).astype(np.int32)
    case = HardCase("disc", (a_sample((60 + 140 * labels).astype(np.uint8), labels),))
    records = measure(case, PointExperiment(clicks=3), default_predictor, "default")
    assert {(r.protocol, r.metric) for r in records} == set(COLUMNS.values())
    assert min(r.value for r in records) > 0.9


def test_the_table_shows_means_and_paired_differences():
    def records(model: str, gain: float) -> list[Record]:
        return [
            Record("thin", name, 1, model, *column, value + gain)
            for column in COLUMNS.values()
            for name, value in (("a", 0.2), ("b", 0.4))
        ]

    head, before, after, gain = result_table({"before": records("before", 0), "after": records("after", 0.25)})
    assert head[4:] == ["1 click", "oracle", "3 clicks", "box"]
    assert before[:5] == ["thin", "before", "2", "2", "0.300 [0.200, 0.400]"]
    assert after[:5] == ["thin", "after", "2", "2", "0.550 [0.450, 0.650]"]
    assert gain[:5] == ["thin", "after - before", "2", "2", "0.250 [0.250, 0.250]"]
