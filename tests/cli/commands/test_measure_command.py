"""The command ``measure``."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from napari_sam import samples
from napari_sam.cli import main
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore

NUCLEI = str(samples.NUCLEI)


def test_measure_writes_a_table_and_names_wrong_arguments(tmp_path, capsys):
    out = tmp_path / "t.csv"
    with LabelStore.create(tmp_path / "l", shape=(512, 640)) as store:
        store.paint(np.ones((10, 20), int), (5, 6))
    arguments = ["measure", str(tmp_path / "l"), NUCLEI, "--out", str(out)]
    assert main([*arguments, "--properties", "area,intensity_max", "--channels", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1
    assert pd.read_csv(out)[["label", "area_px"]].to_numpy().tolist() == [[1, 200]]
    assert out.read_text().splitlines()[1].startswith("1,,200,")
    assert main([*arguments, "--properties", "colour"]) == 2
    assert "choose from area, bbox" in capsys.readouterr().err
    assert main(["measure", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "there is no label store here; see 'napari-sam everything'" in capsys.readouterr().err


def test_many_stores_are_measured_in_the_images_they_were_made_on(tmp_path, capsys):
    for name in ("a", "b"):
        with LabelStore.create(tmp_path / f"{name}.ome.zarr", like=NUCLEI) as store:
            store.paint(np.ones((10, 20), int), (5, 6))
    assert main(["measure", str(tmp_path), "--out-dir", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == 2
    alone = tmp_path / "alone.csv"
    assert main(["measure", str(tmp_path / "a.ome.zarr"), NUCLEI, "--out", str(alone)]) == 0
    assert (tmp_path / "out" / "a.csv").read_text() == alone.read_text()
    assert (tmp_path / "out" / "b.csv").is_file()


def test_stores_are_measured_again_when_they_or_the_settings_have_changed(tmp_path, capsys):
    for name in ("a", "b"):
        with LabelStore.create(tmp_path / f"{name}.ome.zarr", like=NUCLEI) as store:
            store.paint(np.ones((10, 20), int), (5, 6))
    command = ["measure", str(tmp_path), "--out-dir", str(tmp_path / "out"), "--json"]

    def states(*more):
        assert main([*command, *more]) == 0
        return [result.get("state") for result in json.loads(capsys.readouterr().out)["results"]]

    assert states() == ["done", "done"]
    with LabelStore.open(tmp_path / "b.ome.zarr") as store:
        store.paint(np.full((10, 20), 2), (50, 60))
    assert states() == ["skipped", "done"]
    assert states("--properties", "area") == ["done", "done"]
    summary = pd.read_csv(tmp_path / "out" / "measure_summary.csv")
    assert summary["objects"].tolist() == [1, 2]


def test_an_image_on_the_web_is_fetched_only_if_the_user_names_it(tmp_path, capsys):
    image = replace(open_image(NUCLEI), uri="https://example.org/secret.zarr")
    with LabelStore.create(tmp_path / "a.ome.zarr", like=image) as store:
        store.paint(np.ones((4, 4), int), (0, 0))
    assert main(["measure", str(tmp_path / "a.ome.zarr"), "--out-dir", str(tmp_path / "out")]) == 1
    assert "the store names an image on the web, https://example.org/secret.zarr" in capsys.readouterr().err


def test_two_images_of_one_store_are_refused(tmp_path, capsys):
    assert main(["measure", "store", NUCLEI, NUCLEI, "--out", str(tmp_path / "t.csv")]) == 2
    assert "give --out-dir DIR to measure several label stores" in capsys.readouterr().err


def test_volumes_are_measured_in_three_dimensions(tmp_path, capsys):
    out = tmp_path / "v.csv"
    image = open_image(np.zeros((4, 30, 40), np.uint8), axes="zyx")
    image.place(dict.fromkeys("yx", AxisPlacement(0.5, 0.0, "micrometer")))
    with LabelStore.create(tmp_path / "l", like=image, shape=(4, 30, 40)) as store:
        store.commit_planes({z: (np.ones((10, 10), bool), (5, 5, 15, 15)) for z in (1, 2)})
    arguments = ["measure", str(tmp_path / "l"), "--volumes", "--out", str(out)]
    assert main([*arguments, "--z-step", "2"]) == 0
    assert pd.read_csv(out)[["n_planes", "voxels", "volume_um3"]].to_numpy().tolist() == [[2, 200, 100.0]]
    capsys.readouterr()
    assert main(arguments) == 0
    assert "so lengths are in voxels; give --z-step" in capsys.readouterr().err
    assert main(["measure", str(tmp_path / "l"), "--z-step", "2", "--out", str(out)]) == 2
    assert "give --volumes too" in capsys.readouterr().err
    assert main([*arguments, "--properties", "area"]) == 2
    assert "leave --properties out" in capsys.readouterr().err
