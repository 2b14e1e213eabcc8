"""Train a project's model on a worker of a Dask cluster: data and model travel there, the trained model comes back."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import queue
import shutil
import tempfile
import time
import uuid
import zipfile
from dataclasses import asdict, dataclass, replace
from getpass import getuser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from napari_sam.engine.cluster.dask_client import gpu_resource
from napari_sam.errors import CancelledError, DeviceError, ProjectError, StoreLockedError
from napari_sam.io.projects.image_lock import STALE_S, ImageLock
from napari_sam.project.training.train_and_compare import TrainedModel, TrainingCalls, TrainingJob, train_and_compare
from src_models.atomic import write_bytes
from src_models.checkpoints.checkpoint_files import load_network, save_sam, weights_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.project.training.model_versions import Gain

_ATTEMPTS = 3  # on workers that die
_POLL_S = 0.2
_MISSED = 10  # polls; the end of a training takes a moment to arrive
_ASK_S = 0.5  # how often a worker asks whether to stop
_WAIT_S = STALE_S + 30.0  # for an earlier training, which saves and stops, or whose machine is gone
_NO_ROOM = "free some space there, or set TMPDIR for the worker"
_KEPT_S = 7 * 86400  # of a stopped run on a worker's disk
_WORKER_FOLDER, _PAIRS, _BASE = "napari-sam-training", "pairs", "base.safetensors"


@dataclass(frozen=True)
class _Delivery:
    """What a worker gets: the job, with its pairs and its model as bytes."""

    job: TrainingJob
    pairs: bytes
    model: bytes
    run: str  # name of the run; the same job has the same name
    topic: str
    stop: str


@dataclass(frozen=True)
class _Returned:
    """What comes back from a worker."""

    model: bytes
    iou_1click: Gain
    clicks_to_085: Gain
    objects: int


def train_on_cluster(job: TrainingJob, folder: Path, calls: TrainingCalls, client: Any) -> TrainedModel:
    """Train a copy of a model on a worker, and compare both there.

    If the worker dies, another one starts again; on the same machine it continues from the last checkpoint.

    Parameters
    ----------
    job, folder, calls
        As `train_and_compare` takes them; the device is one of the worker. The model is written to `folder`.
    client : distributed.Client
        The cluster; a worker with the resource GPU is preferred.

    Raises
    ------
    DeviceError
        If the cluster has no worker, or several died.
    TrainingError, ModelError, CancelledError
        As `train_and_compare`.
    """
    import distributed  # noqa: PLC0415 - an extra
    from distributed.scheduler import KilledWorker  # noqa: PLC0415 - an extra

    name = f"napari-sam-training-{uuid.uuid4().hex[:8]}"
    delivery = _delivery(job, folder, name)
    stop = _event(delivery.stop, client)
    with _messages(client, name) as messages:
        for attempt in range(_ATTEMPTS):
            future = _submit(client, delivery, f"{name}-{attempt}")
            try:
                _follow(client, future, messages, calls, stop)
                returned: _Returned = future.result()
            except (KilledWorker, distributed.client.FutureCancelledError) as error:
                if stop.is_set():
                    raise _stopped() from error
                continue
            finally:
                if not future.done():
                    stop.set()  # cancelling does not end what a worker has begun
                client.cancel([future], force=True)
            model = folder / "trained.safetensors"
            model.write_bytes(returned.model)
            return TrainedModel(model, returned.iou_1click, returned.clicks_to_085, returned.objects)
    raise DeviceError(
        f"{_ATTEMPTS} workers died while they trained the model",
        remedy="look at the workers' logs, give them more memory, or train on this machine",
    )


def _submit(client: Any, delivery: _Delivery, key: str) -> Any:
    """Send a job to a worker, one with a GPU if there is one; return its future."""
    try:
        data = client.scatter(delivery, hash=False)
    except TimeoutError as error:
        raise DeviceError("the cluster has no worker", remedy="start one, then improve the model again") from error
    return client.submit(_train_on_worker, data, key=key, pure=False, resources=gpu_resource(client))


def _event(name: str, client: Any = None) -> Any:
    """Return an event of the cluster, which a training worker reads and the client sets."""
    import distributed  # noqa: PLC0415 - an extra

    event: Any = distributed.Event
    return event(name, client=client)


def _stopped() -> CancelledError:
    message = "stopped; a worker that had begun keeps what it trained for a week"
    return CancelledError(message, remedy="improve the model again to continue")


def _delivery(job: TrainingJob, folder: Path, name: str) -> _Delivery:
    """Pack what a worker needs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # the images are compressed
        for path in sorted(job.pairs.root.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(job.pairs.root).as_posix())
    model, net = folder / "base.safetensors", load_network(job.base)
    save_sam(net, model)
    known = [job.pairs.checksum, weights_fingerprint(net), asdict(job.settings), job.device]
    run = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    # The worker may run another operating system, whose paths are of another class.
    anywhere = replace(job, pairs=replace(job.pairs, root=cast("Path", PurePosixPath())))
    return _Delivery(anywhere, packed.getvalue(), model.read_bytes(), run, name, f"{name}-stop")


@contextlib.contextmanager
def _messages(client: Any, topic: str) -> Iterator[queue.SimpleQueue[tuple[str, Any]]]:
    """Collect what workers log under a topic."""
    received: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    client.subscribe_topic(topic, lambda event: received.put(event[1]))
    try:
        yield received
    finally:
        client.unsubscribe_topic(topic)


def _follow(
    client: Any, future: Any, messages: queue.SimpleQueue[tuple[str, Any]], calls: TrainingCalls, stop: Any
) -> None:
    """Pass on what the worker tells until it is done, and tell it to stop if that is asked for."""
    stopping = False
    missed = 0  # how often in a row no worker had the stopped training
    while True:
        done = future.done()
        while not messages.empty():
            kind, values = messages.get()
            call: Callable[..., None] | None = calls.progress if kind == "progress" else calls.losses
            if call is not None:
                call(*values)
        if done:
            return
        if not stopping and calls.cancelled is not None and calls.cancelled():
            stopping = True
            stop.set()
        if stopping:
            missed = 0 if any(future.key in keys for keys in client.processing().values()) else missed + 1
        if missed >= _MISSED:
            raise _stopped()  # no worker has it yet, or none any more
        time.sleep(_POLL_S)


def _train_on_worker(delivery: _Delivery) -> _Returned:
    """Train on this worker."""
    import distributed  # noqa: PLC0415 - an extra

    worker, stop = distributed.get_worker(), _StopRequest(_event(delivery.stop))
    with held_run(_run_folder(delivery), stop):
        return _train_alone(delivery, worker, stop)


def _train_alone(delivery: _Delivery, worker: Any, stop: _StopRequest) -> _Returned:
    """Train in the folder of a run, which no other process or thread of this machine uses."""
    folder = _unpacked(delivery)
    pairs = replace(delivery.job.pairs, root=folder / _PAIRS)
    job = replace(delivery.job, pairs=pairs, base=str(folder / _BASE))
    calls = TrainingCalls(
        progress=lambda *values: worker.log_event(delivery.topic, ("progress", values)),
        losses=lambda *values: worker.log_event(delivery.topic, ("losses", values)),
        cancelled=stop,
    )
    trained = train_and_compare(job, folder, calls)
    model = trained.file
    if job.settings.encoder == "low-rank":  # an adapter names a base that only this machine has
        model = folder / "merged.safetensors"
        save_sam(load_network(trained.file), model)
    returned = _Returned(model.read_bytes(), trained.iou_1click, trained.clicks_to_085, trained.objects)
    shutil.rmtree(folder, ignore_errors=True)
    return returned


def held_run(folder: Path, cancelled: Callable[[], bool], wait_s: float = _WAIT_S) -> ImageLock:
    """Take the lock of a run on this machine, which an earlier training may still hold whose client is gone.

    Parameters
    ----------
    folder : Path
        Folder of the run; the lock lies beside it. That of a process that has ended is taken over.
    cancelled : callable
        Called now and then; the wait ends if it returns True.
    wait_s : float
        How long to wait for a training that was just told to stop, in seconds.

    Raises
    ------
    StoreLockedError
        If the earlier training is still there.
    CancelledError
        If `cancelled()` returned True.
    DeviceError
        If the folder cannot be written.
    """
    remedy = "wait until that training has ended, or restart the worker"
    until = time.monotonic() + wait_s
    while True:
        try:
            return ImageLock(folder.with_suffix(".lock"), "the same training on the worker", remedy=remedy)
        except StoreLockedError:
            if time.monotonic() >= until:
                raise
        except ProjectError as error:
            raise DeviceError(error.message, remedy=_NO_ROOM) from error
        if cancelled():
            raise _stopped()
        time.sleep(_ASK_S)


def _run_folder(delivery: _Delivery) -> Path:
    """Return the folder of a run on this worker."""
    root = Path(tempfile.gettempdir()) / f"{_WORKER_FOLDER}-{os.getuid() if hasattr(os, 'getuid') else getuser()}"
    return root / delivery.run


def _unpacked(delivery: _Delivery) -> Path:
    """Return the folder of a run on this worker, with its pairs and its model.

    Raises
    ------
    DeviceError
        If it cannot be written.
    """
    folder = _run_folder(delivery)
    try:
        _remove_old(folder.parent, folder)
        if not (folder / _BASE).exists():
            shutil.rmtree(folder / _PAIRS, ignore_errors=True)
            with zipfile.ZipFile(io.BytesIO(delivery.pairs)) as archive:
                archive.extractall(folder / _PAIRS)
            write_bytes(folder / _BASE, delivery.model)
    except OSError as error:
        raise DeviceError(
            f"{folder} on the worker: cannot be written ({error.strerror or error})",
            remedy=_NO_ROOM,
        ) from error
    return folder


class _StopRequest:
    """Asks the cluster now and then whether to stop; each step of a training reads the last answer."""

    def __init__(self, event: Any) -> None:
        self._event, self._asked_at, self._answer = event, 0.0, False

    def __call__(self) -> bool:
        if not self._answer and time.monotonic() - self._asked_at > _ASK_S:
            self._answer, self._asked_at = bool(self._event.is_set()), time.monotonic()
        return self._answer


def _remove_old(root: Path, kept: Path) -> None:
    """Make the folder of a run, and remove runs that were stopped long ago."""
    kept.mkdir(parents=True, exist_ok=True)
    for other in root.iterdir():
        if other.is_dir() and other != kept and time.time() - other.stat().st_mtime > _KEPT_S:
            shutil.rmtree(other, ignore_errors=True)
