"""Choose how objects go from one plane to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.engine.propagation.carriers.memory_carrier import MemoryCarrier
from napari_sam.engine.propagation.carriers.prompt_carrier import PromptCarrier
from napari_sam.errors import PromptError
from src_models.networks.sam2.network import Sam2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.engine.propagation.carrier import Carrier
    from napari_sam.engine.propagation.plane_views import PlaneViews
    from napari_sam.engine.propagation.propagation_settings import PropagationSettings

CARRY = ("auto", "memory", "prompt")
"""Ways of carrying an object; "auto" uses the memory of models that have one."""


def make_carrier(
    carry: str,
    views: PlaneViews,
    planes: Sequence[int],
    settings: PropagationSettings | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Carrier:
    """Make the carrier for a model.

    Parameters
    ----------
    carry : {"auto", "memory", "prompt"}
        By the network's memory, by prompts, or by what the model has.
    views : PlaneViews
        The planes, with their predictor.
    planes : sequence of int
        Planes to pass.
    settings : PropagationSettings, optional
        When an object is followed, and when not.
    cancelled : callable, optional
        Called between the steps; return True to stop.

    Raises
    ------
    PromptError
        If `carry` is unknown, or the model has no memory.
    """
    if carry not in CARRY:
        raise PromptError(f"carry is {carry!r}", parameter="carry", remedy=f"choose one of {', '.join(CARRY)}")
    if carry == "memory" or (carry == "auto" and isinstance(views.runner.net, Sam2)):
        return MemoryCarrier(views, planes, settings, cancelled)
    return PromptCarrier(settings, cancelled, along_time=views.source.axis == "t")
