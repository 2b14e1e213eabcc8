"""What is asked of a client of a Dask cluster."""

from __future__ import annotations

from typing import Any

from napari_sam.errors import SettingsError


def check_client(client: Any) -> None:
    """Refuse an object that is not a client of a Dask cluster.

    Raises
    ------
    SettingsError
        If it is not, or Dask is not installed.
    """
    try:
        import distributed  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(
            "client needs Dask, which is not installed",
            parameter="client",
            remedy="run pip install 'napari-sam-xl[cluster]'",
        ) from error
    if not isinstance(client, distributed.Client):
        raise SettingsError(f"client is {client!r}", parameter="client", remedy="give a distributed.Client")


def gpu_resource(client: Any) -> dict[str, float] | None:
    """Return the resource that a task must ask for to get to a worker with a GPU; None where no worker has one."""
    return free_threads(client)[1]


def free_threads(client: Any) -> tuple[int, dict[str, float] | None]:
    """Return the number of threads that may get tasks, and the resource that tasks must ask for."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    with_gpu = [worker for worker in workers if worker.get("resources", {}).get("GPU")]
    return sum(int(worker["nthreads"]) for worker in with_gpu or workers), {"GPU": 1} if with_gpu else None
