"""Keywords of following objects besides their prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from napari_sam.engine.propagation.plane_mask import PlaneMask
    from napari_sam.engine.propagation.propagation_settings import PropagationSettings
    from napari_sam.engine.propagation.resumable_carrier import StepStore


class PropagateOptions(TypedDict, total=False):
    """Keywords of `Predictor.propagate`, `propagate_many` and `repropagate` besides the prompts."""

    axis: str | None
    planes: Sequence[int] | None
    carry: str
    settings: PropagationSettings | None
    resume_folder: str | os.PathLike[str] | StepStore | None
    on_plane: Callable[[PlaneMask], None] | None
    progress: Callable[[int, int], None] | None
    cancelled: Callable[[], bool] | None
