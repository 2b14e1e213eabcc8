"""The command ``import``."""

from __future__ import annotations

import json

import numpy as np
import tifffile

from napari_sam import samples
from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore

NUCLEI = str(samples.NUCLEI)


def test_labels_of_another_program_become_a_store_and_more_are_added(tmp_path, capsys):
    labels = samples.nuclei_labels()
    tifffile.imwrite(tmp_path / "l.tif", labels)
    store = str(tmp_path / "s.ome.zarr")
    assert main(["import", str(tmp_path / "l.tif"), store]) == 2
    assert "give the image with --image IMAGE" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "l.tif"), store, "--image", NUCLEI, "--category", "nucleus", "--json"]) == 0
    count = len(np.unique(labels)) - 1
    assert json.loads(capsys.readouterr().out)["objects"] == count
    assert main(["import", str(tmp_path / "l.tif"), store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(tmp_path / "l.tif"), "output": store, "objects": 0, "covered": count,
    }  # fmt: skip
    with LabelStore.open(store, "r") as opened:
        assert set(opened.table().category) == {"nucleus"}
        assert ((opened.array[:] > 0) == (labels > 0)).all()


def test_a_file_that_does_not_fit_is_refused_and_leaves_no_store(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "l.tif", np.ones((8, 8), np.uint8))
    assert main(["import", str(tmp_path / "l.tif"), str(tmp_path / "s.ome.zarr"), "--image", NUCLEI]) == 2
    assert "do not match the image" in capsys.readouterr().err
    assert not (tmp_path / "s.ome.zarr").exists()


def test_outlines_that_name_their_planes_make_a_store_of_the_whole_stack(tmp_path, capsys):
    labels = np.zeros((3, 40, 50), np.uint16)
    labels[:, 5:15, 5:15] = 1
    tifffile.imwrite(tmp_path / "i.tif", labels, photometric="minisblack", metadata={"axes": "TYX"})
    with LabelStore.create(tmp_path / "a.ome.zarr", like=tmp_path / "i.tif") as store:
        store.commit_planes({t: (labels[t] > 0, (0, 0, 40, 50)) for t in range(3)})
        store.export(tmp_path / "o.json")
    out = str(tmp_path / "b.ome.zarr")
    assert main(["import", str(tmp_path / "o.json"), out, "--image", str(tmp_path / "i.tif"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == 1
    with LabelStore.open(out, "r") as store:
        assert np.array_equal(store.array[...], labels)
