"""Training on a worker of a Dask cluster."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import napari_sam as ns
from napari_sam.cli import main
from napari_sam.errors import CancelledError, DeviceError, SettingsError, StoreLockedError
from napari_sam.project.training.cluster_training import held_run
from napari_sam.project.training.improve_settings import ImproveSettings
from src_models.checkpoints.checkpoint_files import load_network
from tests.clusters import client_of_one_worker

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """One worker in a process of its own, which is replaced when it dies, and that finds no runs of other processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("worker")))
        with client_of_one_worker(processes=True) as client:
            yield client


@pytest.fixture
def remote(project, cluster):
    """The project, whose models are trained on the cluster."""
    return ns.Project(project.path, "Ada", client=cluster)


def test_a_worker_trains_and_compares(project, remote):
    parts, losses = [], []
    version = remote.improve(
        ImproveSettings(steps=2),
        device="cpu",
        progress=lambda *report: parts.append(report),
        losses=lambda *loss: losses.append(loss),
    )
    assert [part for part, done, total in parts if done == total] == ["training", "comparing"]
    assert [step for step, _ in losses] == [1, 2]
    assert (version.number, version.base, version.by) == (1, "default", "Ada")
    assert 0 < version.iou_1click.before < 1
    project.use_model(1)
    before, after = (load_network(name).state_dict() for name in ("default", project.model))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert "mask_decoder" in changed
    assert "mask_judge" not in changed
    assert not list((project.path / "models" / ".training").iterdir())


def test_the_command_tells_the_error_of_the_worker(project, cluster, capsys):
    command = ["project", "improve", str(project.path), "--encoder", "low-rank", "--device", "cpu"]
    assert main([*command, "--scheduler", cluster.scheduler.address]) == 2
    assert "EfficientFPN has no attention layers" in capsys.readouterr().err


def test_a_stopped_training_continues_on_the_worker(remote):
    settings, steps, begun = ImproveSettings(steps=60, seed=1), [], threading.Event()
    with pytest.raises(CancelledError):
        remote.improve(settings, device="cpu", progress=lambda *_: begun.set(), cancelled=begun.is_set)
    assert remote.versions.all() == []

    def note(part, done, _):
        if part == "training":
            steps.append(done)

    with pytest.raises(CancelledError):
        remote.improve(settings, device="cpu", progress=note, cancelled=lambda: bool(steps))
    assert steps[0] > 1


def runs():
    """Return the folders of runs on the worker; a training that was told to stop may still write to one of them."""
    root = Path(os.environ["TMPDIR"]) / f"napari-sam-training-{os.getuid()}"
    return {path for path in root.iterdir() if path.is_dir()} if root.exists() else set()


def test_a_training_that_another_process_left_behind_is_not_joined(remote):
    settings, begun, parts, polls = ImproveSettings(steps=60, seed=5), threading.Event(), [], itertools.count()
    earlier = runs()
    with pytest.raises(CancelledError):
        remote.improve(settings, device="cpu", progress=lambda *_: begun.set(), cancelled=begun.is_set)
    (run,) = runs() - earlier
    with held_run(run, lambda: False), pytest.raises(CancelledError):
        remote.improve(settings, device="cpu", progress=lambda *p: parts.append(p), cancelled=lambda: next(polls) > 20)
    assert not parts


def test_the_lock_of_a_run_names_its_holder_and_is_taken_over_from_a_process_that_has_ended(tmp_path):
    run = tmp_path / "0123"
    with held_run(run, lambda: False):
        with pytest.raises(StoreLockedError, match=r"the same training on the worker is open for .*restart the worker"):
            held_run(run, lambda: False, wait_s=0)
        with pytest.raises(CancelledError):
            held_run(run, lambda: True)
        killed = json.loads(run.with_suffix(".lock").read_text())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    run.with_suffix(".lock").write_text(json.dumps(killed | {"pid": ended.pid}))
    held_run(run, lambda: False, wait_s=0).release()
    assert not run.with_suffix(".lock").exists()


def test_a_killed_worker_is_replaced(remote, cluster):
    killed = []

    def kill(part, done, _):
        if part == "training" and done == 2 and not killed:
            killed.extend(cluster.run(os.getpid).values())
            os.kill(killed[0], signal.SIGKILL)

    version = remote.improve(ImproveSettings(steps=4, seed=2), device="cpu", progress=kill)
    assert killed
    assert version.number == 1


def test_a_cluster_without_workers_is_refused(project):
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=50) as empty,
        distributed.Client(empty, timeout="1s") as client,
        pytest.raises(DeviceError, match="the cluster has no worker"),
    ):
        ns.Project(project.path, client=client).improve(ImproveSettings(steps=1), device="cpu")


def test_what_is_no_client_is_refused(project):
    with pytest.raises(SettingsError, match="client is 'tcp://host:8786'"):
        ns.Project(project.path, client="tcp://host:8786")
