"""Import of our own exports and of other programs' files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_sam.errors import CancelledError, LabelsError, NapariSamError, PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore

TRANSFORM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)


@pytest.fixture
def truth():
    """A ring, an object of two pieces, one pixel, and two objects that touch each other and the border."""
    labels = np.zeros((60, 80), np.uint16)
    labels[5:20, 5:25] = 1
    labels[9:14, 10:18] = 0
    labels[30:34, 5:9] = labels[40:44, 20:30] = 2
    labels[50, 50] = 3
    labels[0:12, 60:70] = 4
    labels[0:12, 70:80] = 5
    return labels


def same_objects(labels, truth):
    """Whether two label images show the same objects, whatever their ids."""
    pairs = np.unique(np.stack([labels.ravel(), truth.ravel()]).astype(np.int64), axis=1)
    return len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


@pytest.fixture
def image(tmp_path, truth):
    """A GeoTIFF."""
    tags = [
        (33550, "d", 3, (0.5, 0.5, 0.0), True),
        (33922, "d", 6, (0, 0, 0, 500_000.0, 5_200_000.0, 0), True),
        (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32632), True),
    ]
    tifffile.imwrite(tmp_path / "i.tif", np.zeros(truth.shape, np.uint8), extratags=tags)
    return open_image(tmp_path / "i.tif")


@pytest.fixture
def original(tmp_path, truth, image):
    """A store with the objects, one with a category."""
    with LabelStore.create(tmp_path / "original.ome.zarr", like=image) as store:
        store.paint(truth.astype(np.int64), (0, 0))
        store.set_category(2, "cell")
        yield store


@pytest.mark.parametrize("name", ["o.gpkg", "o.geojson", "o.json", "o.zip", "o.tif", "o.ome.tif", "o.zarr", "o.png"])
def test_every_export_comes_back_as_the_same_objects(original, tmp_path, truth, image, name):
    original.export(tmp_path / name)
    with LabelStore.create(tmp_path / "new.ome.zarr", like=image) as store:
        ids = store.import_(tmp_path / name)
        assert len(ids) == len(store) == 5
        assert same_objects(store.array[:], truth)
        if name in ("o.gpkg", "o.geojson", "o.json"):
            assert (store.table().category == "cell").sum() == 1
        store.undo()
        assert len(store) == 0


def test_a_cellpose_file_becomes_objects_and_is_not_allowed_to_run_code(tmp_path, truth):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.save(tmp_path / "a_seg.npy", {"masks": truth, "filename": "a.tif", "diameter": np.float64(12)})
    np.save(tmp_path / "b_seg.npy", {"masks": truth, "bad": Bomb()})
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=truth.shape) as store:
        store.import_(tmp_path / "a_seg.npy", category="cell")
        assert same_objects(store.array[:], truth)
        assert set(store.table().category) == {"cell"}
        with pytest.raises(PromptError, match="which is not read from files of others"):
            store.import_(tmp_path / "b_seg.npy")
    assert not (tmp_path / "ran").exists()


def test_rois_that_imagej_draws_become_objects(tmp_path):
    import roifile

    box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=3, top=2, right=9, bottom=6)
    outline = roifile.ImagejRoi.frompoints([[20, 10], [40, 10], [40, 30], [20, 30]])
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5)
    roifile.roiwrite(tmp_path / "r.zip", [box, outline])
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(50, 60)) as store:
        store.import_(tmp_path / "r.zip")
        assert (store.array[2:6, 3:9] == 1).all()
        assert store.table().area_px.tolist() == [24, 400]
        line.tofile(tmp_path / "l.roi")
        with pytest.raises(PromptError, match="a ROI of type LINE has no area"):
            store.import_(tmp_path / "l.roi")


def test_rois_far_beyond_the_image_take_no_memory(tmp_path):
    import roifile

    huge = np.array([[0, 2, 2], [1, 1e9, 2], [1, 1e9, 1e9], [1, 2, 1e9]], np.float32).ravel()
    roi = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, right=9, bottom=9, version=227)
    roi.multi_coordinates = np.append(huge, np.float32(4))
    roi.shape_roi_size = len(roi.multi_coordinates)
    roi.tofile(tmp_path / "huge.roi")
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(20, 30)) as store:
        assert store.import_(tmp_path / "huge.roi") == [1]
        assert store.table().area_px.tolist() == [18 * 28]


def test_a_zip_that_unpacks_to_very_much_is_refused(tmp_path, monkeypatch):
    import zipfile

    from napari_sam.io.prompts.formats import imagej_prompts

    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.roi", bytes(5000))
    monkeypatch.setattr(imagej_prompts, "_MOST_BYTES", 4000)
    with (
        LabelStore.create(tmp_path / "s.ome.zarr", shape=(20, 30)) as store,
        pytest.raises(PromptError, match="holds 5000 bytes of ROIs; save them in several files"),
    ):
        store.import_(tmp_path / "bomb.zip")


def test_a_damaged_coco_segmentation_is_named_with_its_remedy(tmp_path):
    annotation = {"id": 1, "bbox": [1, 1, 5, 5], "segmentation": {"size": [9, 9], "counts": [81]}}
    (tmp_path / "c.json").write_text(json.dumps({"annotations": [annotation]}))
    with (
        LabelStore.create(tmp_path / "s.ome.zarr", shape=(20, 30)) as store,
        pytest.raises(PromptError, match=r"annotation 0: run lengths of size .* do not fit.*; use the image"),
    ):
        store.import_(tmp_path / "c.json")


def test_polygons_in_another_reference_system_are_converted(tmp_path, original, image):
    geopandas = pytest.importorskip("geopandas")
    original.export(tmp_path / "o.gpkg")
    geopandas.read_file(tmp_path / "o.gpkg").to_crs("EPSG:3857").to_file(tmp_path / "m.gpkg", layer="objects")
    with LabelStore.create(tmp_path / "new.ome.zarr", like=image) as store:
        store.import_(tmp_path / "m.gpkg")
        assert (store.array[:] > 0).sum() == pytest.approx((original.array[:] > 0).sum(), abs=12)


def test_existing_objects_keep_their_pixels_unless_told_otherwise(tmp_path, truth):
    tifffile.imwrite(tmp_path / "l.tif", truth)
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=truth.shape) as store:
        store.paint(np.ones((12, 20), int), (0, 60))
        assert store.import_(tmp_path / "l.tif").count(0) == 2
        assert store.array[5, 65] == 1
        store.import_(tmp_path / "l.tif", overlap="replace")
        assert store.array[5, 65] != store.array[5, 75]


def test_outlines_beyond_the_image_are_cut(tmp_path):
    ring = [[-10, -10], [5, -10], [5, 5], [-10, 5], [-10, -10]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "p.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(20, 20)) as store:
        store.import_(tmp_path / "p.geojson")
        assert store.table()[["y0", "x0", "y1", "x1"]].to_numpy().tolist() == [[0, 0, 5, 5]]


def test_labels_of_a_plane_are_drawn_there(tmp_path, truth):
    tifffile.imwrite(tmp_path / "l.tif", truth)
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(3, *truth.shape)) as store:
        store.import_(tmp_path / "l.tif", plane=(1,))
        assert store.array[1].any()
        assert not store.array[0].any()


def test_boxes_alone_are_no_objects(tmp_path):
    (tmp_path / "b.csv").write_text("y0,x0,y1,x1\n1,1,5,5\n")
    with (
        LabelStore.create(tmp_path / "s.ome.zarr", shape=(20, 20)) as store,
        pytest.raises(LabelsError, match=r"only boxes or points; segment the objects there: .*--prompts"),
    ):
        store.import_(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gpkg", b"no database at all, but long enough to be read", "not a GeoPackage, or damaged"),
        ("a.zip", b"PK no zip", "not a file of ImageJ ROIs, or damaged"),
        ("a_seg.npy", b"\x93NUMPY\x01\x00", "cannot be read"),
        ("a.tif", b"no tiff", "a.tif"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(20, 20)) as store:
        with pytest.raises(NapariSamError, match=message):
            store.import_(tmp_path / name)
        assert len(store) == 0


def test_a_cancelled_import_stops_between_changes(tmp_path, truth):
    tifffile.imwrite(tmp_path / "l.tif", truth)
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=truth.shape) as store:
        with pytest.raises(CancelledError):
            store.import_(tmp_path / "l.tif", cancelled=lambda: True)
        assert len(store) == 0
