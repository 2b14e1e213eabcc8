"""Stores of SpatialData, read back by zarr and GeoPandas, and by SpatialData's own library where it is installed."""

from __future__ import annotations

import warnings

import geopandas
import numpy as np
import pytest
import zarr

from napari_sam.errors import LabelsError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.labels.label_store import LabelStore
from tests.io.exports.drawings import UTM, drawn, like, on_map


@pytest.fixture
def read():
    """SpatialData's own reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("spatialdata", reason="needs spatialdata, which is no dependency")

        def read_quietly(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return library.read_zarr(path)

        yield read_quietly


@pytest.fixture
def stack(tmp_path):
    source = Image([np.zeros((3, 90, 80), np.uint8)], "zyx", "x", (0,), plane=(0,))
    source.place({"z": AxisPlacement(2, 0, "micrometer"), **dict.fromkeys("yx", AxisPlacement(0.5, 0, "micrometer"))})
    with LabelStore.create(tmp_path / "s.zarr", like=source, shape=(3, 90, 80)) as labels:
        labels.paint(np.full((4, 5), 7), (10, 20), plane=(1,))
        labels.paint(np.full((4, 5), 7), (12, 20), plane=(2,))
        yield labels


def column(out, name):
    return zarr.open_group(out / "tables" / "table" / "obs", mode="r")[name][...]


def test_labels_of_all_levels_and_a_row_for_each_object_are_written(store, blobs, tmp_path):
    out = store.export(tmp_path / "cells.sdata.zarr")
    root = zarr.open_group(out, mode="r")
    assert root.attrs["spatialdata_attrs"]["version"] == "0.2"
    for k in (0, 1):
        np.testing.assert_array_equal(root["labels/objects"][str(k)][...], blobs[:: 2**k, :: 2**k])
    assert column(out, "instance_id").tolist() == store.table()["label"].tolist()
    names = root["tables/table/var/_index"][...].tolist()
    areas = root["tables/table/X"][:, names.index("area_px")]
    np.testing.assert_array_equal(areas, np.bincount(blobs.ravel())[1:])


def test_the_table_names_the_class_and_its_colour(small, tmp_path):
    small.classes.add("nucleus", colour="#ff0000")
    small.set_category(2, "nucleus")
    table = zarr.open_group(small.export(tmp_path / "o.sdata.zarr") / "tables" / "table", mode="r")
    assert table["obs/category/categories"][...].tolist() == ["nucleus"]
    assert table["obs/category/codes"][...].tolist() == [-1, 0]
    assert table["uns/category_colors"][...].tolist() == ["#ff0000"]


def test_outlines_on_request_cover_the_same_pixels(store, blobs, tmp_path):
    out = store.export(tmp_path / "o.sdata.zarr", polygons=True, labels=[1, 2, 5])
    shapes = geopandas.read_parquet(out / "shapes" / "outlines" / "shapes.parquet")
    assert (shapes.index.name, shapes.index.tolist()) == ("instance_id", [1, 2, 5])
    assert shapes.area.tolist() == [np.count_nonzero(blobs == label) for label in (1, 2, 5)]
    assert shapes.is_valid.all()


def test_positions_and_the_transformation_count_from_the_corner_of_the_first_pixel(tmp_path):
    with LabelStore.create(tmp_path / "l.zarr", like=like(scale=(0.25, 0.5), shape=(40, 50))) as labels:
        labels.paint(drawn("1100 1100 0022"), (10, 20))
        root = zarr.open_group(labels.export(tmp_path / "o.sdata.zarr"), mode="r")
    np.testing.assert_allclose(root["tables/table/obsm/spatial"][...], [[10.5, 2.75], [11.5, 3.125]])
    multiscales = dict(root["labels/objects"].attrs)["ome"]["multiscales"][0]
    (affine,) = [t["affine"] for t in multiscales["coordinateTransformations"] if t["type"] == "affine"]
    np.testing.assert_allclose(affine, [[0.25, 0, 0], [0, 0.5, 0]])


def test_simpler_outlines_imply_outlines(store, tmp_path):
    out = store.export(tmp_path / "o.sdata.zarr", simplify_px=2)
    exact = store.export(tmp_path / "e.sdata.zarr", polygons=True)
    simple, whole = (geopandas.read_parquet(p / "shapes" / "outlines" / "shapes.parquet") for p in (out, exact))
    assert simple.count_coordinates().sum() < whole.count_coordinates().sum() / 2


def test_progress_ends_at_its_total(small, tmp_path):
    steps = []
    small.export(tmp_path / "o.sdata.zarr", polygons=True, progress=lambda *step: steps.append(step))
    assert steps[-1] == (5, 5)  # one piece of pixels, two objects in the table and two outlines
    assert len({total for _, total in steps}) == 1


def test_what_spatialdata_cannot_hold_is_refused(stack, store, tmp_path):
    with pytest.raises(LabelsError, match="no polygons of objects through planes"):
        stack.export(tmp_path / "s.sdata.zarr", polygons=True)
    with pytest.raises(LabelsError, match="format 'csv' has no polygons beside its labels"):
        store.export(tmp_path / "o.csv", format="csv", polygons=True)
    with (
        LabelStore.create(tmp_path / "m.zarr", like=None, shape=(2, 9, 9), axes="tyx") as movie,
        pytest.raises(LabelsError, match="cannot hold axes tyx"),
    ):
        movie.export(tmp_path / "m.sdata.zarr")
    assert sorted(path.name for path in tmp_path.glob("*.sdata*")) == []


def test_polygons_without_pyarrow_name_what_to_install(small, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(LabelsError, match=r"pip install pyarrow.*leave out polygons"):
        small.export(tmp_path / "o.sdata.zarr", polygons=True)
    assert small.export(tmp_path / "o.sdata.zarr").is_dir()


def test_the_library_reads_labels_lazily_with_the_table_and_shapes(read, store, blobs, tmp_path):
    store.set_category(2, "nucleus")
    data = read(store.export(tmp_path / "o.sdata.zarr", polygons=True))
    labels, table = data["objects"], data["table"]
    assert [labels[scale].ds["image"].shape for scale in labels] == [(1500, 1300), (750, 650)]
    assert type(labels["scale0"].ds["image"].data).__module__.startswith("dask")
    np.testing.assert_array_equal(labels["scale0"].ds["image"].data.compute(), blobs)
    assert table.uns["spatialdata_attrs"]["region"] == "objects"
    assert table.obs["instance_id"].tolist() == sorted(data["outlines"].index) == np.unique(blobs)[1:].tolist()
    assert table.obs["category"].tolist()[:2] == ["cell", "nucleus"]
    assert table[:, "area_px"].X.sum() == np.count_nonzero(blobs)


@pytest.mark.filterwarnings("ignore")
def test_the_library_finds_the_objects_where_the_table_says(read, tmp_path):
    sd = pytest.importorskip("spatialdata")
    source = like(scale=(0.25, 0.5), shape=(40, 50))
    with LabelStore.create(tmp_path / "l.zarr", like=source) as labels:
        labels.paint(drawn("1100 1100 0022"), (10, 20))
        data = read(labels.export(tmp_path / "o.sdata.zarr", polygons=True))
    for element in ("objects", "outlines"):
        centroids = sd.get_centroids(data[element], coordinate_system="global").compute()
        np.testing.assert_allclose(centroids[["x", "y"]], data["table"].obsm["spatial"])
    np.testing.assert_allclose(data["table"].obsm["spatial"], [[10.5, 2.75], [11.5, 3.125]])


@pytest.mark.filterwarnings("ignore")
def test_the_library_places_objects_on_the_map(read, tmp_path):
    sd = pytest.importorskip("spatialdata")
    with on_map(tmp_path, "EPSG:32632", UTM) as labels:
        out = labels.export(tmp_path / "o.sdata.zarr", polygons=True)
        expected = geopandas.read_file(labels.export(tmp_path / "o.gpkg"))
        assert zarr.open_group(out, mode="r").attrs["napari_sam"]["crs"] == labels.meta("crs")
    shapes = sd.transform(read(out)["outlines"], to_coordinate_system="global")
    np.testing.assert_allclose(shapes.total_bounds, expected.total_bounds)


def test_the_library_reads_a_stack_with_one_row_for_each_object(read, stack, tmp_path):
    data = read(stack.export(tmp_path / "o.sdata.zarr"))
    assert data["objects"].dims == ("z", "y", "x")
    table = data["table"]
    assert table.obs["instance_id"].tolist() == [7]
    assert table[:, ["voxels", "z0", "z1", "y0", "y1", "volume_um3"]].X.tolist() == [[40, 1, 3, 10, 16, 20]]
    np.testing.assert_allclose(table.obsm["spatial"], [[11.25, 6.5, 4]])


def test_the_library_reads_a_store_without_objects(read, tmp_path):
    with LabelStore.create(tmp_path / "l.zarr", shape=(6, 8)) as labels:
        data = read(labels.export(tmp_path / "o.sdata.zarr", polygons=True))
    assert not data["objects"].data.compute().any()
    assert "table" not in data.tables
