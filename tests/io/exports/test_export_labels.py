"""Labels in files of other programs: hand-worked outlines, round trips, and nothing left behind by what fails."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import struct
import sys
import tracemalloc
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_sam.cli import main
from napari_sam.errors import CancelledError, LabelsError, StoreError
from napari_sam.io.exports.export_labels import WRITERS
from napari_sam.io.exports.export_settings import ENDINGS, FORMATS
from napari_sam.io.exports.polygons import polygons_of
from napari_sam.io.exports.writers import write_coco as export_coco
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.object_reader import ObjectReader
from napari_sam.io.pixel_runs import runs_by_label
from src_models.training.data.coco_files import decompress, object_mask, read_coco, render

UTM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
DEGREES = (0.001, 0.0, 10.0, 0.0, -0.001, 50.0)
ROTATED = (0.3, 0.4, 500_000.0, 0.4, -0.3, 5_200_000.0)


def drawn(rows):
    """A label image from lines of digits."""
    return np.array([[int(c) for c in row] for row in rows.split()], np.uint32)


def outline(rows):
    """Polygons of the ones in a drawing."""
    return polygons_of(runs_by_label(drawn(rows), (0, 0))[2])


def filled(polygons, shape):
    """Pixels within axis-aligned rings, by the even-odd rule."""
    mask = np.zeros(shape, bool)
    for ring in (ring for polygon in polygons for ring in polygon):
        for (x, y), (x_next, y_next) in itertools.pairwise([*ring, ring[0]]):
            if x == x_next:
                mask[min(y, y_next) : max(y, y_next), int(x) :] ^= True
    return mask


def area(ring):
    """Of a ring, negative if it runs clockwise with y upwards."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise([*ring, ring[0]])) / 2


def like(crs=None, transform=None, shape=(1500, 1300), scale=(1.0, 1.0), uri="/data/image.tif"):
    return SimpleNamespace(shape=shape, scale=scale, identity="x", uri=uri, crs=crs, transform=transform)


@pytest.fixture
def blobs(rng):
    """A label image with objects of all shapes, holes and pieces among them."""
    image = ndimage.gaussian_filter(rng.random((1500, 1300)), 6)
    labels, _ = ndimage.label(image > 0.505, np.ones((3, 3)))
    return labels.astype(np.uint32)


@pytest.fixture
def store(tmp_path, blobs):
    with LabelStore.create(tmp_path / "cells.ome.zarr", like=like(scale=(0.25, 0.5))) as labels:
        labels.paint(blobs, (0, 0))
        labels.set_category(1, "cell")
        yield labels


@pytest.fixture
def small(tmp_path):
    with LabelStore.create(tmp_path / "small", shape=(6, 8)) as labels:
        labels.paint(drawn("01100000 01110000 00000022 00000022"), (0, 0))
        yield labels


def on_map(tmp_path, crs, transform):
    labels = LabelStore.create(tmp_path / "map.zarr", like=like(crs, transform, (40, 50), (0.5, 0.5)))
    labels.paint(drawn("110 100"), (10, 20))
    return labels


def features(path):
    return json.loads(path.read_text())["features"]


# ---- outlines ------------------------------------------------------------------------------------------------


def test_one_pixel_is_a_square():
    assert outline("000 010") == [[[(2, 1), (2, 2), (1, 2), (1, 1)]]]


def test_a_square_has_four_corners():
    assert outline("0000 0110 0110") == [[[(3, 1), (3, 3), (1, 3), (1, 1)]]]


def test_an_l_has_six_corners():
    assert outline("10 10 11") == [[[(1, 0), (1, 2), (2, 2), (2, 3), (0, 3), (0, 0)]]]


def test_a_hole_runs_the_other_way_round():
    ((outer, hole),) = outline("1111 1011 1111")
    assert outer == [(4, 0), (4, 3), (0, 3), (0, 0)]
    assert sorted(hole) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (area(outer), area(hole)) == (12, -1)


def test_two_pieces_are_two_polygons():
    assert [[area(r) for r in p] for p in outline("11011 11000")] == [[4], [2]]


def test_pieces_that_touch_at_a_corner_are_apart():
    assert [[area(r) for r in p] for p in outline("1100 1100 0011")] == [[4], [2]]


def test_a_hole_that_touches_the_outside_at_a_corner_stays_a_hole():
    ((outer, hole),) = outline("0111 1101 1111")
    assert (area(outer), area(hole)) == (11, -1)
    assert len(set(outer)) == len(outer) == 6


@settings(max_examples=300, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_outlines_of_any_pixels_are_simple_and_fill_exactly_them(mask):
    polygons = polygons_of(runs_by_label(mask.astype(np.uint32), (0, 0))[2])
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)
    assert len(polygons) == ndimage.label(mask)[1]  # pieces joined by edges
    assert sum(area(ring) for polygon in polygons for ring in polygon) == mask.sum()
    for polygon in polygons:
        assert [area(ring) > 0 for ring in polygon] == [True] + [False] * (len(polygon) - 1)
        for ring in polygon:
            assert len(set(ring)) == len(ring)
            turns = zip(ring, ring[1:] + ring[:1], ring[2:] + ring[:2], strict=True)
            assert all((a[0] == b[0]) != (b[0] == c[0]) for a, b, c in turns)


def test_an_object_read_in_pieces_is_the_same_as_in_one(tmp_path, rng):
    mask = ndimage.gaussian_filter(rng.random((2600, 2500)), 15) > 0.5
    with LabelStore.create(tmp_path / "s", shape=(2700, 2600)) as labels:
        labels.paint(mask.astype(np.uint32), (50, 60))
        ((row, runs),) = ObjectReader(labels)
        ((_, columns),) = ObjectReader(labels, columns=True)
    whole, turned = (runs_by_label(m.astype(np.uint32), o)[2] for m, o in ((mask, (50, 60)), (mask.T, (60, 50))))
    for found, expected in ((runs, whole), (columns, turned)):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert row.area_px == mask.sum()


# ---- GeoJSON and GeoPackage ----------------------------------------------------------------------------------


def test_geojson_in_pixels_gives_back_every_pixel(store, blobs, tmp_path):
    out = store.export(tmp_path / "cells.geojson")
    found = np.zeros_like(blobs)
    for feature in features(out):
        geometry = feature["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        assert all(ring[0] == ring[-1] for polygon in polygons for ring in polygon)
        found[filled([[ring[:-1] for ring in p] for p in polygons], blobs.shape)] = feature["id"]
    np.testing.assert_array_equal(found, blobs)


def test_geojson_has_what_qupath_shows_and_a_note_of_its_coordinates(small, tmp_path):
    small.set_category(1, "cell")
    out = small.export(tmp_path / "s.geojson")
    first, second = features(out)
    assert first["geometry"]["coordinates"] == [[[3, 0], [3, 1], [4, 1], [4, 2], [1, 2], [1, 0], [3, 0]]]
    assert first["properties"]["classification"] == {"name": "cell"}
    assert first["properties"]["objectType"] == "annotation"
    assert first["properties"]["measurements"] == {"area_px": 5}
    assert "classification" not in second["properties"]  # QuPath takes no null
    assert "pixels" in json.loads(out.read_text())["napari_sam"]["coordinates"]


def test_geojson_of_a_map_is_longitude_and_latitude_and_counterclockwise(tmp_path):
    with on_map(tmp_path, "EPSG:4326", DEGREES) as labels:
        out = labels.export(tmp_path / "o.geojson")
        in_pixels = labels.export(tmp_path / "p.geojson", format="geojson-pixels")
    (ring,) = features(out)[0]["geometry"]["coordinates"]
    assert sorted({x for x, _ in ring}) == [10.02, 10.021, 10.022]
    assert sorted({y for _, y in ring}) == [49.988, 49.989, 49.99]
    assert area(ring[:-1]) == pytest.approx(3e-6)
    assert "crs" not in json.loads(out.read_text())  # RFC 7946 knows only one
    assert features(in_pixels)[0]["geometry"]["coordinates"][0][0] == [22, 10]


def test_geojson_of_a_projected_map_is_reprojected(tmp_path):
    pyproj = pytest.importorskip("pyproj")
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        (feature,) = features(labels.export(tmp_path / "o.geojson"))
    (ring,) = feature["geometry"]["coordinates"]
    back = pyproj.Transformer.from_crs(4326, 32632, always_xy=True)
    x, y = back.transform(*np.array(ring[:-1]).T)
    assert np.array(x) == pytest.approx(500_000 + 0.5 * np.array([20, 20, 21, 21, 22, 22])[np.argsort(np.argsort(x))])
    assert abs(area(list(zip(x, y, strict=True)))) == pytest.approx(0.75, abs=0.01)


def test_without_pyproj_a_projected_map_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyproj", None)
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        with pytest.raises(LabelsError, match=r"napari-sam-xl\[geo\]"):
            labels.export(tmp_path / "o.geojson")
    assert [p.name for p in tmp_path.iterdir()] == ["map.zarr"]


def test_a_geopackage_holds_map_coordinates(tmp_path):
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        out = labels.export(tmp_path / "o.gpkg")
    with contextlib.closing(sqlite3.connect(out)) as db:
        assert db.execute("PRAGMA application_id").fetchone()[0] == 0x47504B47
        blob, label, pixels = db.execute("SELECT geom, label, area_px FROM objects").fetchone()
        extent = db.execute("SELECT min_x, min_y, max_x, max_y, srs_id FROM gpkg_contents").fetchone()
    assert (label, pixels) == (1, 3)
    assert extent == (500_010.0, 5_199_994.0, 500_011.0, 5_199_995.0, 32632)
    assert struct.unpack("<2sBBi4d", blob[:40]) == (b"GP", 0, 3, 32632, 500_010.0, 500_011.0, 5_199_994.0, 5_199_995.0)
    assert struct.unpack("<BIIBIII", blob[40:62]) == (1, 6, 1, 1, 3, 1, 7)
    ring = np.frombuffer(blob[62:], "<f8").reshape(-1, 2)
    assert abs(area(ring[:-1].tolist())) == 0.75


def test_a_geopackage_without_a_map_is_refused(small, tmp_path):
    with pytest.raises(LabelsError, match="no CRS"):
        small.export(tmp_path / "o.gpkg")


# ---- COCO ----------------------------------------------------------------------------------------------------


def test_coco_gives_back_every_pixel(store, blobs, tmp_path):
    out = store.export(tmp_path / "cells.json")
    (image,) = read_coco(out)
    assert (image.file_name, image.shape) == ("image.tif", blobs.shape)
    ids = np.array([0, *(a["id"] for a in json.loads(out.read_text())["annotations"])])
    rendered, hidden = render(image.segmentations, image.shape)
    np.testing.assert_array_equal(ids[rendered], blobs)
    assert hidden == 0


def test_coco_boxes_scores_and_categories(small, tmp_path):
    small.set_category(2, "cell")
    content = json.loads(small.export(tmp_path / "c.json").read_text())
    first, second = content["annotations"]
    assert (first["bbox"], first["area"], second["bbox"]) == ([1, 0, 3, 2], 5, [6, 2, 2, 2])
    assert decompress(first["segmentation"]["counts"]) == [6, 2, 4, 2, 5, 1, 28]
    names = {c["id"]: c["name"] for c in content["categories"]}
    assert [names[a["category_id"]] for a in content["annotations"]] == ["object", "cell"]


def test_compressed_run_lengths_by_hand():
    # 40 = 8 + 1 * 32: "8 goes on" is 8 + 32 + 48 = "X", 1 is "1"; from the fourth on, differences to two before:
    # 3 - 5 = -2, whose five bits are 30, 30 + 48 = "N".
    assert export_coco.compress([40, 5, 7, 3]) == "X157N"
    assert decompress("X157N") == [40, 5, 7, 3]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**11), max_size=12))
def test_compressed_run_lengths_come_back(counts):
    assert decompress(export_coco.compress(counts)) == counts


@settings(deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)))
def test_run_lengths_of_any_mask_come_back(mask):
    runs = runs_by_label(np.ascontiguousarray(mask.T.astype(np.uint32)), (0, 0))[2]
    found = np.zeros(mask.shape, bool)
    segmentation = {"size": list(mask.shape), "counts": export_coco.counts_of(runs, mask.shape)}
    part, (y, x) = object_mask(segmentation, mask.shape)
    found[y : y + part.shape[0], x : x + part.shape[1]] = part
    np.testing.assert_array_equal(found, mask)


# ---- tables --------------------------------------------------------------------------------------------------


def test_csv_has_centroids_in_pixels_and_in_what_they_measure(store, blobs, tmp_path):
    table = pd.read_csv(store.export(tmp_path / "t.csv")).set_index("label")
    assert table.index.tolist() == list(range(1, blobs.max() + 1))
    middle = np.array(ndimage.center_of_mass(blobs > 0, blobs, table.index))
    np.testing.assert_allclose(table[["centroid_y_px", "centroid_x_px"]], middle)
    np.testing.assert_allclose(table[["centroid_y_world", "centroid_x_world"]], middle * (0.25, 0.5))
    np.testing.assert_array_equal(table.area_px, np.bincount(blobs.ravel())[1:])
    np.testing.assert_allclose(table.area_world, table.area_px / 8)
    assert table.category[1] == "cell"


def test_csv_of_a_map_has_places_on_it(tmp_path):
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        row = pd.read_csv(labels.export(tmp_path / "t.csv")).iloc[0]
    assert row.area_map == 0.75
    # pixels (10, 20), (10, 21), (11, 20): middle at column 20 1/3 + 1/2, half a metre each
    assert row.centroid_x_map == pytest.approx(500_000 + (20 + 1 / 3 + 0.5) / 2)
    assert row.centroid_y_map == pytest.approx(5_200_000 - (10 + 1 / 3 + 0.5) / 2)


def test_parquet_is_the_same_table(store, tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.read_parquet(store.export(tmp_path / "t.parquet"))
    other = pd.read_csv(store.export(tmp_path / "t.csv"))
    assert table.columns.tolist() == other.columns.tolist()
    np.testing.assert_array_equal(table.centroid_y_px, other.centroid_y_px)


def test_without_pyarrow_parquet_names_what_to_install(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LabelsError, match="pip install pyarrow"):
        small.export(tmp_path / "t.parquet")


# ---- pictures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".tif", ".ome.tif"])
def test_tiff_is_tiled_compressed_and_has_the_levels(store, blobs, tmp_path, ending):
    out = store.export(tmp_path / f"l{ending}")
    with tifffile.TiffFile(out) as file:
        page = file.pages.first
        assert file.is_bigtiff
        assert (page.tile, page.dtype, page.compression.name) == ((512, 512), np.uint32, "ADOBE_DEFLATE")
        for k, level in enumerate(file.series[0].levels):
            np.testing.assert_array_equal(level.asarray(), blobs[:: 2**k, :: 2**k])
    image = open_image(out)
    assert image.levels == [(1500, 1300), (750, 650)]
    assert image.scale == ((0.25, 0.5) if ending == ".ome.tif" else (1.0, 1.0))


@pytest.mark.parametrize(
    ("crs", "transform"), [("EPSG:32632", UTM), ("EPSG:4326", DEGREES), ("EPSG:32632", ROTATED), ("My own grid", UTM)]
)
def test_tiff_lies_where_the_image_lies(tmp_path, crs, transform):
    with on_map(tmp_path, crs, transform) as labels:
        image = open_image(labels.export(tmp_path / "o.tif"))
    assert image.crs.rstrip("|") == crs
    assert image.transform == pytest.approx(transform)
    assert image.read(0, 10, 20, 12, 22)[..., 0].tolist() == [[1, 1], [1, 0]]


def test_zarr_is_the_same_picture_without_the_journal(store, blobs, tmp_path):
    out = store.export(tmp_path / "copy.zarr")
    image = open_image(out)
    assert image.levels == [(1500, 1300), (750, 650)]
    np.testing.assert_array_equal(image.read(1, 0, 0, 750, 650)[..., 0], blobs[::2, ::2])
    assert sorted(p.name for p in out.iterdir()) == ["0", "1", "zarr.json"]
    with pytest.raises(LabelsError, match="exists already"):
        store.export(out)


def test_an_unfinished_zarr_is_not_listed_among_an_images_labels(small, tmp_path):
    (tmp_path / "i.zarr" / "labels").mkdir(parents=True)
    (tmp_path / "i.zarr" / "zarr.json").write_text("{}")
    small.export(tmp_path / "i.zarr" / "labels" / "copy.zarr")
    assert [p.name for p in (tmp_path / "i.zarr" / "labels").iterdir()] == ["copy.zarr"]


def test_png_holds_16_bits(small, tmp_path):
    small.relabel(2, 65_535)
    image = open_image(small.export(tmp_path / "l.png"))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image.read(0, 0, 0, 6, 8)[..., 0], small.array[...])
    small.relabel(65_535, 65_536)
    with pytest.raises(LabelsError, match=r"id 65536 does not fit.*\.tif"):
        small.export(tmp_path / "l.png")


def test_png_of_a_large_image_names_the_alternatives(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(9000, 9000)) as labels:
        with pytest.raises(LabelsError, match=r"9000 x 9000 pixels.*\.tif or \.zarr"):
            labels.export(tmp_path / "l.png")


def test_planes_of_a_stack_are_kept_apart(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3, 20, 30)) as labels:
        labels.paint(drawn("11"), (4, 5), plane=(2,))
        tif, geo, coco = (labels.export(tmp_path / f"o{e}") for e in (".ome.tif", ".geojson", ".json"))
        rois = labels.export(tmp_path / "o.zip")
        np.testing.assert_array_equal(tifffile.imread(tif), labels.array[...])
    assert features(geo)[0]["geometry"]["plane"] == {"c": -1, "z": 2, "t": 0}
    assert json.loads(coco.read_text())["annotations"][0]["image_id"] == 3
    with zipfile.ZipFile(rois) as file:
        second = file.read("0000001.roi")[64 + 16 :]
    assert struct.unpack(">4x3i", second[:16]) == (0, 3, 0)


# ---- ImageJ --------------------------------------------------------------------------------------------------


def test_an_imagej_roi_of_a_plain_outline_is_a_traced_one(small, tmp_path):
    with zipfile.ZipFile(small.export(tmp_path / "r.zip")) as file:
        assert file.namelist() == ["0000001.roi", "0000002.roi"]
        roi = file.read("0000002.roi")
    assert struct.unpack(">4shBx5h", roi[:18]) == (b"Iout", 227, 8, 2, 6, 4, 8, 4)
    corners = np.frombuffer(roi[64:80], ">i2").reshape(2, 4).T + np.array([6, 2])
    assert corners.tolist() == [[8, 2], [8, 4], [6, 4], [6, 2]]
    start, length = struct.unpack(">ii", roi[96:104])
    assert roi[start:].decode("utf-16-be") == "0000002"
    assert length == 7


def test_an_imagej_roi_with_a_hole_is_a_composite(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(6, 6)) as labels:
        labels.paint(drawn("111 101 111"), (1, 1))
        with zipfile.ZipFile(labels.export(tmp_path / "r.zip")) as file:
            roi = file.read("0000001.roi")
    kind, size = roi[6], struct.unpack(">i", roi[36:40])[0]
    assert (kind, size) == (1, 2 * (4 * 3 + 1))
    path = np.frombuffer(roi[64 : 64 + 4 * size], ">f4")
    assert path[[0, 3, 12]].tolist() == [0, 1, 4]  # move, line, close
    rings = [path[i : i + 12].reshape(4, 3)[:, 1:].astype(int).tolist() for i in (0, 13)]
    np.testing.assert_array_equal(filled([rings], (6, 6)), labels_of_ring())


def labels_of_ring():
    expected = np.zeros((6, 6), bool)
    expected[1:4, 1:4] = True
    expected[2, 2] = False
    return expected


# ---- what is common to all -----------------------------------------------------------------------------------

FILES = [".geojson", ".json", ".csv", ".tif", ".ome.tif", ".png", ".zip", ".zarr"]


@pytest.mark.parametrize("ending", FILES)
def test_an_empty_store_is_a_valid_empty_file(tmp_path, ending):
    with LabelStore.create(tmp_path / "s", shape=(30, 40)) as labels:
        out = labels.export(tmp_path / f"o{ending}")
    if ending == ".geojson":
        assert features(out) == []
    elif ending == ".json":
        assert read_coco(out)[0].segmentations == []
    elif ending == ".csv":
        assert len(pd.read_csv(out)) == 0
    elif ending == ".zip":
        assert zipfile.ZipFile(out).namelist() == []
    else:
        assert not open_image(out).read(0, 0, 0, 30, 40).any()


@pytest.mark.parametrize("ending", FILES)
def test_some_objects_only(store, blobs, tmp_path, ending):
    out = store.export(tmp_path / f"o{ending}", labels=[5, 2])
    if ending in (".geojson", ".json"):
        found = json.loads(out.read_text())
        assert {f["id"] for f in found.get("features", found.get("annotations"))} == {2, 5}
    elif ending == ".csv":
        assert pd.read_csv(out).label.tolist() == [2, 5]
    elif ending == ".zip":
        assert sorted(zipfile.ZipFile(out).namelist()) == ["0000002.roi", "0000005.roi"]
    else:
        expected = np.where(np.isin(blobs, [2, 5]), blobs, 0)
        np.testing.assert_array_equal(open_image(out).read(0, 0, 0, *blobs.shape)[..., 0], expected)


@pytest.mark.parametrize("ending", FILES)
def test_a_cancelled_export_leaves_the_old_file_or_none(store, tmp_path, ending):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CancelledError, match="nothing was written"):
        store.export(tmp_path / f"o{ending}", cancelled=lambda: True)
    assert sorted(tmp_path.iterdir()) == before
    if ending != ".zarr":
        (tmp_path / f"o{ending}").write_bytes(b"old")
        with pytest.raises(CancelledError):
            store.export(tmp_path / f"o{ending}", cancelled=lambda: True)
        assert (tmp_path / f"o{ending}").read_bytes() == b"old"


@pytest.mark.parametrize("ending", FILES)
def test_progress_ends_at_the_whole(store, tmp_path, ending):
    seen = []
    store.export(tmp_path / f"o{ending}", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize("ending", [".geojson", ".json", ".csv", ".tif", ".png", ".zip"])
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_is_named_and_leaves_nothing(store, tmp_path, ending):
    import resource

    before = sorted(tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(LabelsError, match=r"cannot be written.*make room"):
            store.export(tmp_path / f"o{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("ending", [".geojson", ".json", ".csv", ".tif", ".zarr", ".png"])
def test_a_missing_file_of_the_store_is_named_and_not_taken_for_background(store, tmp_path, ending):
    next(f for f in (store.path / "0" / "c").rglob("*") if f.is_file()).unlink()
    with LabelStore.open(store.path, "r") as labels, pytest.raises(StoreError, match=r"files are missing.*repair"):
        labels.export(tmp_path / f"o{ending}")
    assert [p.name for p in tmp_path.iterdir()] == ["cells.ome.zarr"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("o.docx", {}, r"cannot write \.docx; use one of \.ome\.tif"),
        ("o", {}, "a file without ending"),
        ("no/where/o.csv", {}, "does not exist; create it first"),
        ("small", {"format": "csv"}, "in the label store itself"),
        ("small/o.csv", {}, "in the label store itself"),
        ("o.csv", {"format": "excel"}, "format is 'excel'; choose one of geojson"),
        ("o.csv", {"labels": [1, 77]}, "no object 77"),
        ("o.csv", {"labels": ["one"]}, "'one' is not an id"),
        ("folder.csv", {}, "is a folder"),
    ],
)
def test_what_cannot_be_exported_is_named(small, tmp_path, name, arguments, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(LabelsError, match=message):
        small.export(tmp_path / name, **arguments)


def test_the_image_itself_is_never_overwritten(tmp_path):
    image = tmp_path / "slide.tif"
    image.write_bytes(b"pixels")
    with LabelStore.create(tmp_path / "s", like=like(uri=str(image))) as labels:
        with pytest.raises(LabelsError, match="is the image that the labels belong to"):
            labels.export(image)
    assert image.read_bytes() == b"pixels"


def test_every_ending_has_a_format():
    assert set(ENDINGS.values()) <= set(FORMATS) == set(WRITERS)


@pytest.mark.parametrize("ending", [".geojson", ".json", ".csv", ".zip", ".tif"])
def test_memory_does_not_grow_with_the_image(tmp_path, ending):
    with LabelStore.create(tmp_path / "s", shape=(50_000, 50_000)) as labels:
        for number, at in enumerate([(0, 0), (25_000, 30_000), (49_600, 49_600)], start=1):
            labels.paint(np.full((400, 400), number), at)
        for y in range(0, 50_000, 10_000):  # one object from top to bottom
            labels.paint(np.full((10_000, 8), 9), (y, 12_000))
        tracemalloc.start()
        labels.export(tmp_path / f"o{ending}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100 << 20  # a dense plane takes 10 GB


# ---- the command ---------------------------------------------------------------------------------------------


def test_the_command_writes_the_file_and_says_so(store, blobs, tmp_path, capsys):
    out = tmp_path / "o.csv"
    assert main(["export", str(store.path), str(out), "--json"]) == 0  # read beside the writer
    said = json.loads(capsys.readouterr().out)
    assert said == {"output": str(out), "count": int(blobs.max()), "bytes": out.stat().st_size}
    assert main(["export", str(store.path), str(out), "--objects", "2,5"]) == 0
    assert "count: 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("out", "words"), [("o.docx", ".geojson"), ("no/o.csv", "create it first"), ("o.gpkg", "has no CRS")]
)
def test_the_command_names_bad_input_in_one_line(small, tmp_path, capsys, out, words):
    assert main(["export", str(small.path), str(tmp_path / out)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_the_command_interrupted_leaves_no_file(small, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_sam.cli.progress_line.ProgressLine.__call__", interrupt)
    assert main(["export", str(small.path), str(tmp_path / "o.geojson")]) == 130
    assert [p.name for p in tmp_path.iterdir()] == ["small"]
