"""Measurements of a label store against scikit-image on the whole array."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from skimage.draw import disk, ellipse, polygon
from skimage.measure import regionprops_table

from napari_sam.errors import CancelledError, ImageError, LabelsError, SettingsError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.measurement.measure import measure
from napari_sam.io.labels.measurement.measured_table import write_table
from napari_sam.io.labels.measurement.properties import INTENSITY, PieceSizes

SHAPE = (2600, 2500)
NAMES = {
    "area": "area_px",
    "bbox-0": "y0",
    "bbox-1": "x0",
    "bbox-2": "y1",
    "bbox-3": "x1",
    "centroid-0": "centroid_y_px",
    "centroid-1": "centroid_x_px",
    "perimeter": "perimeter_px",
    "eccentricity": "eccentricity",
    "orientation": "orientation",
    "solidity": "solidity",
    "equivalent_diameter_area": "equivalent_diameter_px",
}


@pytest.fixture(scope="module")
def labels():
    """Blobs across cell borders, a thin line, a single pixel, pieces apart, one of 1500 px, ids with gaps."""
    rng = np.random.default_rng(0)
    out = np.zeros(SHAPE, np.uint32)
    for i in range(60):
        y, x = rng.integers(40, (SHAPE[0] - 40, SHAPE[1] - 40))
        out[ellipse(y, x, *rng.integers(4, 38, 2), shape=SHAPE, rotation=rng.uniform(0, 3))] = 7 * i + 3
    out[disk((1024, 1024), 60, shape=SHAPE)] = 5000
    out[ellipse(1700, 1400, 100, 750, shape=SHAPE, rotation=0.4)] = 4_000_000_000
    out[100, 100:130], out[200, 200] = 6001, 6002
    out[300:310, 300:310], out[400:410, 1400:1405] = 6003, 6003
    return out


@pytest.fixture
def store(labels, tmp_path):
    with LabelStore.create(tmp_path / "l.zarr", shape=SHAPE, scale=(0.5, 0.5)) as made:
        made.paint(labels, (0, 0))
        yield made


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 60_000, (*SHAPE, 2), dtype=np.uint16)


@pytest.fixture(scope="module")
def expected(labels):
    ids, compact = np.unique(labels, return_inverse=True)
    found = pd.DataFrame(regionprops_table(compact.reshape(labels.shape), properties=("label", *_plain(NAMES))))
    found["label"] = ids[found["label"]]
    return found


def _plain(names):
    return list(dict.fromkeys(name.split("-")[0] for name in names))


def check(table, expected):
    assert table.label.tolist() == expected.label.tolist()
    for theirs, ours in NAMES.items():
        np.testing.assert_allclose(table[ours], expected[theirs], rtol=1e-6, atol=1e-9, err_msg=ours)


def test_shapes_are_those_of_the_whole_array(store, expected):
    table = store.measure()
    check(table, expected)
    np.testing.assert_array_equal(table.area_px, expected.area)


def test_intensities_are_those_of_the_raw_values(store, image, labels):
    table = measure(store, image, properties=("area", *INTENSITY))
    for label in (5000, 6002, 4_000_000_000):
        row, inside = table[table.label == label].iloc[0], image[labels == label].astype(float)
        for channel in (0, 1):
            values = inside[:, channel]
            found = [row[f"{name}_{channel}"] for name in INTENSITY]
            np.testing.assert_allclose(found, (values.mean(), values.min(), values.max(), values.std()), rtol=1e-6)
    assert "intensity_mean_0" not in measure(store, image, ["intensity_mean"], channels=[1])


def test_objects_read_in_pieces_are_measured_alike(store, image):
    whole = measure(store, image)
    pieces = measure(store, image, sizes=PieceSizes(exact_px=5000, cell_px=64, piece_px=128))
    exact = [c for c in whole if c not in ("perimeter_px", "perimeter_world", "solidity", "category", "model")]
    for name in exact:
        np.testing.assert_allclose(pieces[name], whole[name], rtol=1e-6, atol=1e-9, err_msg=name)
    large = whole.label == 4_000_000_000
    for name in ("perimeter_px", "solidity"):
        np.testing.assert_allclose(pieces[name][large], whole[name][large], rtol=0.05)


def test_the_orientation_of_a_large_object_is_scikit_images(tmp_path):
    for i, (rows, cols) in enumerate([((5, 5, 60, 90), (5, 30, 90, 60)), ((5, 20, 80, 60), (90, 95, 20, 10))]):
        mask = np.zeros((100, 100), np.uint32)
        mask[polygon(rows, cols)] = 1
        with LabelStore.create(tmp_path / str(i), shape=mask.shape) as made:
            made.paint(mask, (0, 0))
            whole = measure(made).orientation[0]
            pieces = measure(made, sizes=PieceSizes(exact_px=10))
            assert pieces.orientation[0] == pytest.approx(whole, abs=1e-9)


def test_physical_units_and_the_table_are_joined(store, image):
    opened = open_image(image)
    opened.scale, opened.unit = (0.5, 0.25), "micrometer"
    store.set_category(5000, "cell")
    row = measure(store, opened).set_index("label").loc[5000]
    assert row.category == "cell"
    assert row.area_um2 == pytest.approx(row.area_px / 8)
    assert (row.centroid_y_um, row.centroid_x_um) == pytest.approx((row.centroid_y_px / 2, row.centroid_x_px / 4))
    assert "perimeter_um" not in row  # of pixels that are not square
    assert measure(store).area_world.iloc[0] == pytest.approx(measure(store).area_px.iloc[0] / 4)


def test_map_coordinates_come_from_the_transform(store, image):
    opened = open_image(image)
    opened.crs, opened.transform = "EPSG:32632", (2.0, 0.0, 1000.0, 0.0, -2.0, 9000.0)
    row = measure(store, opened, ["area", "centroid"]).set_index("label").loc[6002]
    assert (row.area_m2, row.centroid_x_map, row.centroid_y_map) == (4, 1000 + 2 * 200.5, 9000 - 2 * 200.5)


def test_stacks_are_measured_plane_by_plane(tmp_path):
    pixels = np.stack([np.full((50, 60), 10, np.uint8), np.full((50, 60), 90, np.uint8)])
    from napari_sam.io.images.lazy_image import Image

    image = Image([pixels], "zyx", "stack", (0,), plane=(0,))
    with LabelStore.create(tmp_path / "s", shape=(2, 50, 60)) as made:
        made.paint(np.full((4, 5), 1), (10, 10), plane=(0,))
        made.paint(np.full((4, 5), 2), (10, 10), plane=(1,))
        table = measure(made, image)
    assert table.intensity_mean_0.tolist() == [10, 90]
    assert table.plane.tolist() == ["0", "1"]


def test_an_object_on_several_planes_has_a_row_for_each(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(12, 50, 60)) as made:
        made.commit_planes({z: (np.ones((4, z), bool), (5, 6, 9, 6 + z), z / 20) for z in (2, 10)}, category="cell")
        made.paint(np.full((1, 3), 9), (0, 0), plane=(10,))
        table = measure(made, properties=["area", "centroid"])
    assert table[["label", "plane", "area_px"]].values.tolist() == [[1, "2", 8], [1, "10", 40], [9, "10", 3]]
    assert table.centroid_x_px.tolist() == [6.5, 10.5, 1]
    assert table.predicted_iou[:2].tolist() == [0.1, 0.5]


def test_an_empty_store_gives_an_empty_table_with_all_columns(tmp_path, image):
    with LabelStore.create(tmp_path / "e", shape=SHAPE) as made:
        table = measure(made, image)
    assert len(table) == 0
    assert {"area_px", "perimeter_px", "intensity_mean_1", "predicted_iou"} <= set(table)


def test_progress_reaches_all_and_cancelling_stops(store):
    told = []
    measure(store, properties=["area"], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(store), len(store))
    assert told == sorted(told)
    with pytest.raises(CancelledError, match="stopped after 0"):
        measure(store, cancelled=lambda: True)


def test_what_cannot_be_measured_is_named(store, image, tmp_path):
    with pytest.raises(SettingsError, match="'colour' is unknown; choose from area, bbox"):
        measure(store, image, ["colour"])
    with pytest.raises(SettingsError, match="channels 0 to 1"):
        measure(store, image, channels=[2])
    with pytest.raises(ImageError, match="is not that of the labels"):
        measure(store, image[:100])
    with pytest.raises(LabelsError, match=r"use \.csv or \.parquet"):
        write_table(pd.DataFrame(), tmp_path / "t.xls")


def test_a_table_is_written_and_read_again(store, tmp_path):
    table = store.measure()
    path = write_table(table, tmp_path / "t.csv")
    np.testing.assert_allclose(pd.read_csv(path).perimeter_px, table.perimeter_px)


@pytest.mark.parametrize("exact_px", [1 << 24, 64])
@pytest.mark.parametrize(("dtype", "nodata"), [(np.float32, -9999.0), (np.uint16, 65535.0)])
def test_pixels_without_measurement_are_left_out_of_intensities(tmp_path, rng, dtype, nodata, exact_px):
    pixels = rng.uniform(10, 90, (60, 80)).astype(dtype)
    pixels[:, :20] = nodata
    image = open_image(pixels)
    image.nodata = nodata
    labels = np.zeros((60, 80), np.uint32)
    labels[10:40, 10:50], labels[50:58, 2:12] = 4, 9
    with LabelStore.create(tmp_path / "n.zarr", shape=labels.shape) as made:
        made.paint(labels, (0, 0))
        table = measure(made, image, ["intensity_mean", "intensity_max"], sizes=PieceSizes(exact_px=exact_px))
    assert table["intensity_mean_0"][0] == pytest.approx(pixels[10:40, 20:50].mean(), rel=1e-5)
    assert table["intensity_max_0"][0] == pixels[10:40, 20:50].max()
    assert table.loc[1, ["intensity_mean_0", "intensity_max_0"]].isna().all()


def test_lengths_on_a_map_are_in_metres(store, image):
    opened = open_image(image)
    opened.crs, opened.transform = "EPSG:2264", (2.0, 0.0, 1.4e6, 0.0, -2.0, 5e5)  # in US survey feet
    side = 2 * 1200 / 3937
    table = measure(store, opened, ["area", "perimeter", "equivalent_diameter"])
    np.testing.assert_allclose(table.area_m2, table.area_px * side**2)
    np.testing.assert_allclose(table.perimeter_m, table.perimeter_px * side)
    np.testing.assert_allclose(table.equivalent_diameter_m, table.equivalent_diameter_px * side)
    only = measure(store, opened, ["equivalent_diameter"])
    np.testing.assert_allclose(only.equivalent_diameter_m, table.equivalent_diameter_m)
    assert "area_m2" not in only
