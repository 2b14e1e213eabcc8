"""Selecting objects by values, classes and regions, in images and stacks."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.selection.object_columns import ObjectColumns


@pytest.fixture
def store(tmp_path):
    """Squares of growing size along the diagonal, 1 in the corner; a pixel is 0.5 um wide."""
    image = tmp_path / "i.tif"
    values = np.zeros((600, 600), np.uint16)
    pixels = np.zeros((600, 600), np.uint32)
    for label in range(1, 6):
        start = (label - 1) * 100
        pixels[start : start + 10 * label, start : start + 10 * label] = label
        values[start : start + 10 * label, start : start + 10 * label] = 100 * label
    tifffile.imwrite(
        image, values, ome=True, metadata={"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "µm",
                                           "PhysicalSizeYUnit": "µm", "axes": "YX"},
    )  # fmt: skip
    with LabelStore.create(tmp_path / "s", like=image) as labels:
        labels.paint(pixels, (0, 0))
        labels.set_category({1: "cell", 2: "cell", 3: "debris"})
        labels.image_path = image
        yield labels


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("area_px > 400", [3, 4, 5]),
        ("area_um2 > 100", [3, 4, 5]),
        ("area_um2 > 50 and category == 'cell' and not touches_border", [2]),
        ("category == None", [4, 5]),
        ("width_px == 30", [3]),
        ("perimeter_px > 100", [3, 4, 5]),
        ("equivalent_diameter_um < 10", [1]),
        ("centroid_y_px < 150", [1, 2]),
        ("eccentricity < 0.1 and label <= 2", [1, 2]),
        ("reviewed", []),
        ("predicted_iou == None", [1, 2, 3, 4, 5]),
    ],
)
def test_filters_name_columns_of_the_table_and_measured_values(store, where, expected):
    assert store.select(where) == expected


def test_columns_in_pixels_are_given_in_the_unit_of_the_image(store):
    columns = ObjectColumns(store, store.image_path)
    (area, areas), (score, scores), (mean, means) = columns.in_units(["area_px", "predicted_iou", "intensity_mean"])
    assert (area, score, mean) == ("area_um2", "predicted_iou", "intensity_mean")
    assert areas.tolist() == [(10 * label) ** 2 / 4 for label in range(1, 6)]
    assert np.isnan(scores).all()
    assert means.tolist() == [100.0, 200.0, 300.0, 400.0, 500.0]
    with pytest.raises(LabelsError, match="no column of numbers"):
        columns.in_units(["category"])


def test_intensities_need_the_image(store):
    assert store.select("intensity_mean > 250", image=store.image_path) == [3, 4, 5]
    with pytest.raises(LabelsError, match="intensities need the image"):
        store.select("intensity_mean > 250")


def test_a_class_includes_those_below_it(store):
    store.classes.update("debris", parent="cell")
    assert store.select(category="cell") == [1, 2, 3]
    assert store.select(category=["debris"]) == [3]
    assert store.select("category == 'cell'") == [1, 2]


def test_conditions_are_combined(store):
    assert store.select("area_px > 100", category="cell", labels=[2, 3]) == [2]
    assert store.select(labels=[]) == []
    assert store.select() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("region", "inside", "expected"),
    [
        ((0, 0, 600, 600), 0.5, [1, 2, 3, 4, 5]),
        ((0, 0, 110, 110), 0.5, [1]),
        ((0, 0, 110, 110), 0.0, [1, 2]),
        ((0, 0, 120, 110), 0.5, [1, 2]),
        ((0, 0, 120, 120), 1.0, [1, 2]),
        ((-50, -50, 120, 119), 1.0, [1]),
        ((50, 50, 60, 60), 0.0, []),
        ((700, 700, 800, 800), 0.0, []),
    ],
)
def test_a_rectangle_selects_by_the_part_of_an_object_that_lies_in_it(store, region, inside, expected):
    assert store.select(region=region, inside=inside) == expected


def test_a_lasso_selects_like_the_mask_that_it_draws(tmp_path):
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.permutation(900).reshape(30, 30) + 1, np.ones((10, 10), int)).astype(np.uint32)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    radius = rng.uniform(60, 140, 40)
    lasso = np.stack([150 + radius * np.sin(angle), 150 + radius * np.cos(angle)], axis=1)
    from skimage.draw import polygon2mask

    mask = polygon2mask((300, 300), lasso)
    with LabelStore.create(tmp_path / "s", shape=(300, 300)) as labels:
        labels.paint(pixels, (0, 0))
        for inside, least in ((0.0, 1), (0.5, 50), (1.0, 100)):
            counts = np.bincount(pixels[mask], minlength=901)
            assert labels.select(polygon=lasso, inside=inside) == np.flatnonzero(counts >= least).tolist()


def test_a_lasso_that_crosses_itself_selects_what_it_surrounds_once(store):
    eight = [(90, 90), (90, 130), (330, 190), (330, 250), (190, 250), (190, 190), (130, 90)]
    assert 2 in store.select(polygon=eight)
    bow = [(0, 0), (600, 600), (600, 0), (0, 600)]
    assert isinstance(store.select(polygon=bow), list)


def test_objects_of_a_stack_are_selected_on_all_planes_or_on_one(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3, 50, 50)) as labels:
        labels.paint(np.full((10, 10), 1), (0, 0), plane=(0,))
        labels.paint(np.full((10, 10), 1), (30, 30), plane=(1,))
        labels.paint(np.full((5, 5), 2), (30, 30), plane=(2,))
        assert labels.select("area_px == 200") == [1]
        assert labels.select("n_planes > 1") == [1]
        assert labels.select("perimeter_px > 20") == [1]
        assert labels.select("area_px > 100 and y1 == 40") == [1]
        assert labels.select(plane=(2,)) == [2]
        assert labels.select(region=(25, 25, 50, 50), inside=0.6) == [2]
        assert labels.select(region=(25, 25, 50, 50), inside=0.5) == [1, 2]
        assert labels.select(region=(25, 25, 50, 50), inside=0.6, plane=(1,)) == [1]


@pytest.mark.parametrize(
    "options",
    [
        {"where": "nothing > 1"},
        {"category": "missing"},
        {"labels": [99]},
        {"region": (0, 0, 0, 5)},
        {"region": (0, 0, 5)},
        {"region": (0, 0, float("nan"), 5)},
        {"polygon": [(0, 0), (1, 1)]},
        {"polygon": "abc"},
        {"polygon": [(0, 0), (1, 1), (float("inf"), 0)]},
        {"inside": 2, "region": (0, 0, 5, 5)},
        {"plane": (1,)},
        {"radius": 5},
    ],
)
def test_invalid_selections_are_refused(store, options):
    with pytest.raises(LabelsError):
        store.select(**options)


def test_a_reader_selects_too(store):
    with LabelStore.open(store.path, "r") as reader:
        assert reader.select("area_px > 400", category="debris") == [3]
