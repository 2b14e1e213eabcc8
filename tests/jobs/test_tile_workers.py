import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam.errors import CancelledError, DeviceError, ImageError, SettingsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs import tile_workers as everything_workers
from napari_sam.jobs.run_plan import FinderSpec, Work
from napari_sam.jobs.segment_image import UNFINISHED, segment_everything, unfinished_run
from napari_sam.jobs.tile_workers import run_on_client, run_on_processes
from napari_sam.samples import nuclei
from tests.jobs import everything_stubs

distributed = pytest.importorskip("distributed")


@pytest.fixture
def work(tmp_path):
    return Work(
        str(tmp_path), "a.tif", (0,), (), "default", "cpu", "auto", {"low": [], "high": []},
        FinderSpec("dense", 512), (0, 0, 9, 9), (1,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.comm.timeouts.connect": "30s"}):
        made = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        )
        client = distributed.Client(made)
        yield client
        client.close()
        made.close()


@pytest.fixture
def light_processes(monkeypatch):
    """Processes that start without torch."""
    monkeypatch.setattr(everything_workers, "_begin", abs)


def test_what_a_worker_needs_survives_being_text(work):
    assert Work.from_json(work.as_json()) == work


def test_a_worker_killed_ten_times_does_not_stop_a_run(work, monkeypatch, light_processes, tmp_path):
    monkeypatch.setattr(everything_workers, "run_tile", everything_stubs.dies_often)
    said = {}
    names = [f"t{n}" for n in range(6)] + ["bad"]
    run_on_processes(work, names, 2, lambda name, reason: said.__setitem__(name, reason))
    assert len(list(tmp_path.glob("death-*"))) == 10
    assert said == {**dict.fromkeys(names), "bad": "bad chunk"}
    assert {p.name for p in tmp_path.glob("done-*")} == {f"done-{n}" for n in names}


def test_processes_stop_when_cancelled(work, monkeypatch, light_processes):
    monkeypatch.setattr(everything_workers, "run_tile", everything_stubs.slow)
    said = []
    with pytest.raises(CancelledError):
        run_on_processes(work, [f"t{n}" for n in range(50)], 2, lambda *a: said.append(a), lambda: len(said) > 2)
    assert 2 < len(said) < 20


def test_a_cluster_whose_workers_are_killed_ten_times_does_all(work, cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(everything_workers, "run_tile", everything_stubs.dies_often)
    said = {}
    run_on_client(cluster, work, ["a", "b", "bad"], lambda name, reason: said.__setitem__(name, reason))
    assert len(list(tmp_path.glob("death-*"))) == 10
    assert said == {"a": None, "b": None, "bad": "bad chunk"}


def test_a_cluster_gives_the_same_bytes_as_one_process(cluster, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.tile(nuclei(), (1, 2)))
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
            assert len(labels) > 30
        assert sum((b[2] - b[0]) * (b[3] - b[1]) for b, _ in seen) == 512 * 1280
        expected = expected or digest
        assert digest == expected, name


def test_a_cluster_that_loses_all_its_workers_is_an_error_and_nothing_is_lost(work, monkeypatch):
    made = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50)
    with made, distributed.Client(made) as client:
        monkeypatch.setattr(everything_workers, "run_tile", everything_stubs.slow)
        said = []

        def done(*a):
            said.append(a)
            made.scale(0)

        with pytest.raises(DeviceError, match=r"no worker.*resume=True"):
            run_on_client(client, work, [f"t{n}" for n in range(30)], done, no_workers_s=1.0)
        assert 0 < len(said) < 30


def test_only_workers_with_a_gpu_get_tiles_where_there_are_some(work, monkeypatch, tmp_path):
    spec = {"cls": distributed.Worker, "options": {"nthreads": 1, "resources": {"GPU": 1}}}
    plain = {"cls": distributed.Worker, "options": {"nthreads": 1}}
    made = distributed.SpecCluster(
        {"gpu": spec, "cpu": plain},
        {"cls": distributed.Scheduler, "options": {"dashboard_address": ":0"}},
        silence_logs=50,
    )
    monkeypatch.setattr(everything_workers, "run_tile", everything_stubs.names_its_worker)
    with made, distributed.Client(made) as client:
        client.wait_for_workers(2)
        run_on_client(client, work, ["a", "b", "c", "d"], lambda *a: None)
    assert {p.name for p in tmp_path.glob("on-*")} == {f"on-gpu-{n}" for n in "abcd"}


def test_several_workers_need_a_file_and_a_named_model(tmp_path):
    with pytest.raises(ImageError, match="file or URL"):
        segment_everything(nuclei(), "default", tmp_path / "a.ome.zarr", workers=2)
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, nuclei())
    from src_models import load_sam

    with pytest.raises(SettingsError, match="name or checkpoint file"):
        segment_everything(path, ns.Predictor(load_sam("default")), tmp_path / "b.ome.zarr", workers=2)
    with pytest.raises(SettingsError, match=r"distributed.Client"):
        segment_everything(path, "default", tmp_path / "c.ome.zarr", client="tcp://nobody:1")


def test_what_a_cancelled_cluster_has_done_is_kept(cluster, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.tile(nuclei(), (2, 2)))
    out = tmp_path / "o.ome.zarr"
    with pytest.raises(CancelledError):
        segment_everything(
            path, "default", out, method="grid", client=cluster,
            cancelled=lambda: bool(list((out / UNFINISHED).glob("f1-*.npz"))),
        )  # fmt: skip
    assert unfinished_run(out)["tiles_done"] > 0
    assert isinstance(LabelStore.open(out, "r"), LabelStore)
    assert Path(out).is_dir()
