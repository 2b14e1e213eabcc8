"""A network whose image encoder runs on a worker of a Dask cluster, and everything else in this process."""

from __future__ import annotations

import io
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_sam.engine.cluster.dask_client import check_client, gpu_resource
from src_models.networks.build_network import build_network
from src_models.runtime import Runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from src_models.networks.promptable import PromptableNetwork

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 2
_ANSWER_S = 60.0  # a worker may have to import torch first
_REST_S = 300.0  # how long a cluster that did not answer is not asked
_KEPT = 2  # networks in the memory of a worker

_runners: dict[str, Runner] = {}
_runners_lock = threading.Lock()


class ClusterRunner(Runner):
    """Network whose image encoder runs on a cluster; without a worker, in this process.

    Parameters
    ----------
    net : PromptableNetwork
        The network.
    device, precision : str
        As in `Runner`. The device is that of this process, and a worker chooses its own; the precision is that of both.
    client : distributed.Client
        The cluster; a worker with the resource GPU is preferred.
    weights : str
        Fingerprint of the network, under which workers keep it.

    Raises
    ------
    SettingsError
        If `client` is not a client, or Dask is not installed.
    """

    def __init__(self, net: PromptableNetwork, device: str, precision: str, client: Any, weights: str) -> None:
        check_client(client)
        super().__init__(net, device, precision)
        self._client, self._weights = client, weights
        self._packed = _packed(net)
        self._sent: Any = None  # the network in the memory of the workers
        self._ask_again = 0.0  # a busy cluster is left alone until then
        self._is_lost = False

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Embed RGB images on a worker; parameters and result as in `Runner.encode`."""
        embedding = self._encoded_on_cluster([np.ascontiguousarray(image) for image in images])
        if embedding is None:
            if not self._is_lost:
                _LOG.warning("the cluster has no worker that answers: images are encoded in this process")
            self._is_lost = True
            return super().encode(images)
        self._is_lost = False
        return embedding.to(self.device, self.dtype)

    def _encoded_on_cluster(self, images: list[NDArray[np.uint8]]) -> Tensor | None:
        """Return the embedding from a worker, or None if there is none that answers."""
        import distributed  # noqa: PLC0415 - an extra
        from distributed.scheduler import KilledWorker  # noqa: PLC0415 - an extra

        for _ in range(_ATTEMPTS):
            try:
                if time.monotonic() < self._ask_again or not self._client.scheduler_info()["workers"]:
                    return None
                if self._sent is None or self._sent.status != "finished":
                    self._sent = self._client.scatter(self._packed, broadcast=True)
                precision = str(self.dtype).removeprefix("torch.")
                given, gpu = (self._weights, self._sent, images, precision), gpu_resource(self._client)
                future = self._client.submit(_encode_on_worker, *given, pure=False, priority=10, resources=gpu)
                values, is_bfloat16 = future.result(timeout=_ANSWER_S)
            except TimeoutError:  # its workers have other work, such as a training
                self._ask_again = time.monotonic() + _REST_S
                return None
            except (KilledWorker, distributed.client.FutureCancelledError, OSError, KeyError):
                self._sent = None  # it was in the memory of a worker that is gone
                continue
            tensor = torch.from_numpy(values)
            return tensor.view(torch.bfloat16) if is_bfloat16 else tensor
        return None


def _packed(net: PromptableNetwork) -> bytes:
    """Return the kind and the weights of a network as bytes."""
    file = io.BytesIO()
    state = {name: value.detach().cpu() for name, value in net.state_dict().items()}
    torch.save({"kind": net.kind, "state": state}, file)
    return file.getvalue()


def _encode_on_worker(
    weights: str, packed: bytes, images: list[NDArray[np.uint8]], precision: str
) -> tuple[NDArray[Any], bool]:
    """Embed images on this worker, with the network that it keeps; return the values, and whether they are bfloat16.

    The precision is that of the client, in whose cache the embedding is kept.
    """
    kept = f"{weights}-{precision}"
    with _runners_lock:
        if kept not in _runners:
            saved = torch.load(io.BytesIO(packed), weights_only=True)
            net = build_network(saved["kind"])
            net.load_state_dict(saved["state"], strict=False)  # no head that judges or detects is needed here
            while len(_runners) >= _KEPT:
                _runners.pop(next(iter(_runners)))
            _runners[kept] = Runner(net, precision=precision)
        runner = _runners[kept]
    embedding = runner.encode(images).cpu()
    if embedding.dtype is torch.bfloat16:
        return embedding.view(torch.int16).numpy(), True
    return embedding.numpy(), False
