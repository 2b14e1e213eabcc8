"""The name, weights and device of a model to evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class ModelSpec:
    """A model to evaluate, not loaded yet.

    Attributes
    ----------
    name : str
        Name in tables.
    source : str
        Registered name or checkpoint file.
    device, precision : str
        Passed on to `Predictor`.
    """

    name: str
    source: str
    device: str = "auto"
    precision: str = "auto"

    def load(self) -> Predictor:
        """Load the network."""
        from napari_sam.predictor import Predictor  # noqa: PLC0415 - torch is slow to import

        return Predictor(self.source, self.device, self.precision)

    def describe(self) -> tuple[str, int]:
        """Return what determines the answers (weights, device type, precision) and the number of parameters."""
        predictor = self.load()
        size = sum(p.numel() for p in predictor.runner.net.parameters())
        return f"{predictor.weights}|{predictor.device.split(':')[0]}|{predictor.runner.dtype}", size
