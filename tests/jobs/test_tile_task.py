import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.geometry import Box
from napari_sam.errors import CancelledError, ImageError, SettingsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.image_run import UNFINISHED
from napari_sam.jobs.segment_everything import segment_everything
from napari_sam.jobs.segment_image import unfinished_run
from napari_sam.jobs.tile_plan import FinderSpec
from napari_sam.jobs.tile_task import TileJob
from napari_sam.samples import nuclei

distributed = pytest.importorskip("distributed")


def test_a_tile_job_reads_back_from_text():
    job = TileJob(
        "folder", "a.tif", (0,), (), "default", "cpu", "auto", {"low": [], "high": []},
        FinderSpec("dense", 512), Box(0, 0, 9, 9), (1,),
    )  # fmt: skip
    assert TileJob.from_json(job.as_json()) == job


def test_a_cluster_gives_the_same_bytes_as_one_process(cluster, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.tile(nuclei()[:256], (1, 2)))  # two tiles
    expected = None
    for name, options in (("one", {}), ("dask", {"client": cluster}), ("two", {"workers": 2})):
        seen = []
        with segment_everything(
            path,
            "default",
            tmp_path / f"{name}.ome.zarr",
            diameter_px=30,
            on_tile=lambda *a, s=seen: s.append(a),
            **options,
        ).labels as labels:
            digest = hashlib.sha256(labels.array[:, :].tobytes()).hexdigest()
            assert len(labels) > 20
        assert sum((b[2] - b[0]) * (b[3] - b[1]) for b, _ in seen) == 256 * 1280
        expected = expected or digest
        assert digest == expected, name


def test_several_workers_need_a_file_and_a_named_model(tmp_path):
    with pytest.raises(ImageError, match="file or URL"):
        segment_everything(nuclei(), "default", tmp_path / "a.ome.zarr", workers=2)
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, nuclei())
    from src_models import load_sam

    with pytest.raises(SettingsError, match="name or checkpoint file"):
        segment_everything(path, ns.Predictor(load_sam("default")), tmp_path / "b.ome.zarr", workers=2)
    with pytest.raises(SettingsError, match=r"distributed\.Client"):
        segment_everything(path, "default", tmp_path / "c.ome.zarr", client="tcp://nobody:1")


def test_tiles_finished_before_cancellation_of_a_cluster_are_kept(cluster, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.tile(nuclei(), (2, 2)))
    out = tmp_path / "o.ome.zarr"
    grid = GridSettings.for_model("default", points_per_side=8)
    with pytest.raises(CancelledError):
        segment_everything(
            path, "default", out, method="grid", grid=grid, client=cluster,
            cancelled=lambda: bool(list((out / UNFINISHED).glob("f1-*.npz"))),
        )  # fmt: skip
    assert unfinished_run(out)["tiles_done"] > 0
    assert isinstance(LabelStore.open(out, "r"), LabelStore)
    assert Path(out).is_dir()
