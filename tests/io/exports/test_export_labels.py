"""Every format: round trips, cancellation, full disks and bad input leave nothing behind."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from napari_sam.cli import main
from napari_sam.errors import CancelledError, LabelsError, StoreError
from napari_sam.io.exports.export_labels import WRITERS
from napari_sam.io.exports.export_settings import EXTENSIONS, FORMATS
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.object_reader import ObjectReader
from napari_sam.io.pixel_runs import runs_by_label
from src_models.atomic import replacing
from src_models.training.data.coco_files import read_coco
from tests.io.exports.drawings import drawn, features, like


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


def test_an_object_on_several_planes_is_an_entry_on_each(tmp_path):
    masks = {(z,): (np.ones((z + 1, 2), bool), (3, 4, z + 4, 6), 0.5 + z / 10) for z in (0, 2)}
    with LabelStore.create(tmp_path / "s", shape=(3, 20, 30)) as labels:
        labels.paint(drawn("11"), (12, 15), plane=(1,))
        labels.commit_planes(masks, label=7)
        tif, geo, coco, csv, rois = (
            labels.export(tmp_path / f"o{e}") for e in (".ome.tif", ".geojson", ".json", ".csv", ".zip")
        )
        only = labels.export(tmp_path / "only.ome.tif", labels=[7])
        np.testing.assert_array_equal(tifffile.imread(tif), labels.array[...])
        np.testing.assert_array_equal(tifffile.imread(only), np.where(labels.array[...] == 7, 7, 0))
    found = [feature["properties"] for feature in features(geo)]
    assert sorted((f["label"], f["plane"], f["area_px"]) for f in found) == [(1, "1", 2), (7, "0", 2), (7, "2", 6)]
    annotations = json.loads(coco.read_text())["annotations"]
    assert sorted((a["track_id"], a["image_id"], a["area"]) for a in annotations) == [(1, 2, 2), (7, 1, 2), (7, 3, 6)]
    assert len({a["id"] for a in annotations}) == 3
    table = pd.read_csv(csv)
    assert table[["label", "plane", "area_px"]].values.tolist() == [[1, 1, 2], [7, 0, 2], [7, 2, 6]]
    assert table.predicted_iou[1:].tolist() == [0.5, 0.7]
    with zipfile.ZipFile(rois) as file:
        assert sorted(file.namelist()) == ["0000001.roi", "0000007-0000.roi", "0000007-0002.roi"]


FILES = [".geojson", ".json", ".csv", ".tif", ".ome.tif", ".png", ".zip", ".zarr"]


@pytest.mark.parametrize("extension", FILES)
def test_an_empty_store_is_a_valid_empty_file(tmp_path, extension):
    with LabelStore.create(tmp_path / "s", shape=(30, 40)) as labels:
        out = labels.export(tmp_path / f"o{extension}")
    if extension == ".geojson":
        assert features(out) == []
    elif extension == ".json":
        assert read_coco(out)[0].segmentations == []
    elif extension == ".csv":
        assert len(pd.read_csv(out)) == 0
    elif extension == ".zip":
        assert zipfile.ZipFile(out).namelist() == []
    else:
        assert not open_image(out).read(0, 0, 0, 30, 40).any()


@pytest.mark.parametrize("extension", FILES)
def test_some_objects_only(store, blobs, tmp_path, extension):
    out = store.export(tmp_path / f"o{extension}", labels=[5, 2])
    if extension in (".geojson", ".json"):
        found = json.loads(out.read_text())
        assert {f["id"] for f in found.get("features", found.get("annotations"))} == {2, 5}
    elif extension == ".csv":
        assert pd.read_csv(out).label.tolist() == [2, 5]
    elif extension == ".zip":
        assert sorted(zipfile.ZipFile(out).namelist()) == ["0000002.roi", "0000005.roi"]
    else:
        expected = np.where(np.isin(blobs, [2, 5]), blobs, 0)
        np.testing.assert_array_equal(open_image(out).read(0, 0, 0, *blobs.shape)[..., 0], expected)


@pytest.mark.parametrize("extension", FILES)
def test_a_cancelled_export_leaves_the_old_file_or_none(store, tmp_path, extension):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CancelledError, match="nothing was written"):
        store.export(tmp_path / f"o{extension}", cancelled=lambda: True)
    assert sorted(tmp_path.iterdir()) == before
    if extension != ".zarr":
        (tmp_path / f"o{extension}").write_bytes(b"old")
        with pytest.raises(CancelledError):
            store.export(tmp_path / f"o{extension}", cancelled=lambda: True)
        assert (tmp_path / f"o{extension}").read_bytes() == b"old"


@pytest.mark.parametrize("extension", FILES)
def test_progress_ends_at_the_total(store, tmp_path, extension):
    seen = []
    store.export(tmp_path / f"o{extension}", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize("extension", [".geojson", ".json", ".csv", ".tif", ".png", ".zip"])
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_is_reported_and_leaves_no_file(store, tmp_path, extension):
    import resource

    before = sorted(tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(LabelsError, match=r"cannot be written.*make room"):
            store.export(tmp_path / f"o{extension}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("extension", [".geojson", ".json", ".csv", ".tif", ".zarr", ".png"])
def test_a_missing_file_of_the_store_is_an_error_and_not_background(store, tmp_path, extension):
    next(f for f in (store.path / "0" / "c").rglob("*") if f.is_file()).unlink()
    with LabelStore.open(store.path, "r") as labels, pytest.raises(StoreError, match=r"files are missing.*repair"):
        labels.export(tmp_path / f"o{extension}")
    assert [p.name for p in tmp_path.iterdir()] == ["cells.ome.zarr"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("o.docx", {}, r"cannot write \.docx; use one of \.ome\.tif"),
        ("o", {}, "a file without an extension"),
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


def test_every_extension_has_a_format():
    assert set(EXTENSIONS.values()) <= set(FORMATS) == set(WRITERS)


@pytest.mark.parametrize("extension", [".geojson", ".json", ".csv", ".zip", ".tif"])
def test_memory_does_not_grow_with_the_image(tmp_path, extension):
    with LabelStore.create(tmp_path / "s", shape=(50_000, 50_000)) as labels:
        for number, at in enumerate([(0, 0), (25_000, 30_000), (49_600, 49_600)], start=1):
            labels.paint(np.full((400, 400), number), at)
        for y in range(0, 50_000, 10_000):  # one object from top to bottom
            labels.paint(np.full((10_000, 8), 9), (y, 12_000))
        tracemalloc.start()
        labels.export(tmp_path / f"o{extension}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100 << 20  # a dense plane takes 10 GB


def test_the_command_writes_the_file_and_reports_it(store, blobs, tmp_path, capsys):
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


def test_devices_and_pipes_are_never_replaced(small, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "link.csv"):
        with pytest.raises(LabelsError, match="a device or a pipe"):
            small.export(tmp_path / name)
    with pytest.raises(FileExistsError), replacing(tmp_path / "pipe.csv"):
        pytest.fail("must not be reached")
    assert (tmp_path / "pipe.csv").is_fifo()


def test_a_link_stays_a_link_to_the_new_file(small, tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert small.export(tmp_path / "link.csv") == tmp_path / "link.csv"
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("label,")


def test_text_formats_go_to_standard_output(small, capfdbinary):
    assert main(["export", str(small.path), "-", "--format", "geojson"]) == 0
    found = json.loads(capfdbinary.readouterr().out)
    assert [feature["id"] for feature in found["features"]] == [1, 2]
    assert main(["export", str(small.path), "-", "--format", "tiff"]) == 2
    assert main(["export", str(small.path), "-"]) == 2
    assert b"takes text only" in capfdbinary.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_may_close_standard_output_early(store, tmp_path):
    command = f"{sys.executable} -m napari_sam export {store.path} {{}} --format geojson"
    for out, status, words in (("-", 0, ""), ("/dev/stdout", 2, "give the path of a file, or - for standard output")):
        script = f"set -o pipefail; {command.format(out)} | head -c 1"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False)
        assert words in done.stderr


@pytest.mark.parametrize("name", ["o.geojson", "o.zip"])
def test_polygons_are_simplified_on_request(store, tmp_path, name):
    exact = store.export(tmp_path / name).stat().st_size
    simple = store.export(tmp_path / f"simple-{name}", simplify_px=1.0).stat().st_size
    assert simple < exact
    with pytest.raises(LabelsError, match="has no polygons"):
        store.export(tmp_path / "o.csv", simplify_px=1.0)
