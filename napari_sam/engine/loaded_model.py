"""A network ready to run, with what identifies it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from napari_sam.engine.cluster.cluster_runner import ClusterRunner
from napari_sam.errors import CheckpointError, PromptError, UnknownModelError
from src_models.checkpoints.checkpoint_files import load_dense_decoder, load_network, weights_fingerprint
from src_models.checkpoints.registry import model_info, model_names
from src_models.networks.dense_decoder import DenseDecoder
from src_models.networks.promptable import PromptableNetwork
from src_models.runtime import Runner

if TYPE_CHECKING:
    from pathlib import Path


class LoadedModel:
    """A network on its device, with its name and the fingerprint of its weights.

    Parameters
    ----------
    name : str
        Registered name, checkpoint file, or kind of the network.
    runner : Runner
        The network on its device.
    weights : str
        SHA-256 of the weights.
    is_named : bool
        Whether another process can load the model by its name.
    dense_in_weights : bool
        Whether `weights` covers the dense decoder.
    uses_hypotheses : bool
        Whether the mask decoder was trained with objects of the dense decoder as rough masks.
    """

    def __init__(
        self,
        name: str,
        runner: Runner,
        weights: str,
        *,
        is_named: bool = True,
        dense_in_weights: bool = True,
        uses_hypotheses: bool = False,
    ) -> None:
        self.name, self.runner, self.weights = name, runner, weights
        self.is_named = is_named
        self.dense_in_weights = dense_in_weights
        self.uses_hypotheses = uses_hypotheses
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        model: str | Path | PromptableNetwork,
        device: str = "auto",
        precision: str = "auto",
        client: object = None,
    ) -> LoadedModel:
        """Load a model by its name or file, or wrap a network; with a client, its images are encoded on a cluster.

        Raises
        ------
        ModelError
            If the model, device or precision is not available.
        """
        is_named = not isinstance(model, PromptableNetwork)
        net = model if isinstance(model, PromptableNetwork) else load_network(model)
        weights = weights_fingerprint(net)
        if client is None:
            runner = Runner(net, device, precision)
        else:
            runner = ClusterRunner(net, device, precision, client, weights)
        return cls(
            model.kind if isinstance(model, PromptableNetwork) else str(model),
            runner,
            weights,
            is_named=is_named,
            dense_in_weights=net.dense_decoder is not None,
            uses_hypotheses=isinstance(net.dense_decoder, DenseDecoder),
        )

    @property
    def kind(self) -> str:
        """Architecture of the network."""
        return self.runner.kind

    @property
    def has_dense_decoder(self) -> bool:
        """Whether the model finds all objects of a window at once, if need be with a decoder to download."""
        if self.runner.has_dense:
            return True
        return self.is_named and self.name in model_names() and model_info(self.name).decoder is not None

    def load_dense_decoder(self) -> None:
        """Attach the dense decoder that micro-sam publishes for a model, unless the network has one.

        Raises
        ------
        PromptError
            If there is no dense decoder for the model.
        ModelError
            If micro-sam's decoder cannot be downloaded or read.
        """
        if self.runner.has_dense:
            return
        missing = PromptError(
            f"model {self.name!r} has no dense decoder",
            parameter="model",
            remedy="use 'default', or a micro-sam model that has one",
        )
        with self._lock:
            if self.runner.has_dense:  # another thread attached it
                return
            try:
                self.runner.attach_dense(load_dense_decoder(self.name))
            except UnknownModelError as error:
                raise missing from error
            except CheckpointError as error:
                if self.name in model_names():
                    raise  # the downloaded file is damaged
                raise missing from error
