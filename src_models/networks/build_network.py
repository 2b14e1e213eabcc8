"""Builders of all architectures, by their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src_models.model_errors import UnknownModelError
from src_models.networks.sam import BUILDERS, build_sam
from src_models.networks.sam2.config import SAM2_KINDS
from src_models.networks.sam2.network import build_sam2

if TYPE_CHECKING:
    from src_models.networks.promptable import PromptableNetwork


def network_kinds() -> tuple[str, ...]:
    """Return the kinds of all architectures, those of SAM before those of SAM 2."""
    return (*BUILDERS, *SAM2_KINDS)


def build_network(kind: str, dense: bool | None = None) -> PromptableNetwork:
    """Build a network of any architecture with fresh weights, in evaluation mode.

    Parameters
    ----------
    kind : str
        As `build_sam` or `build_sam2` takes it.
    dense : bool, optional
        As in `build_sam`; SAM 2 has no dense decoder.

    Raises
    ------
    UnknownModelError
        If there is no such architecture.
    """
    if kind in SAM2_KINDS:
        return build_sam2(kind)
    if kind not in BUILDERS:
        raise UnknownModelError(
            f"kind is {kind!r}", parameter="kind", remedy=f"choose one of {', '.join(network_kinds())}"
        )
    return build_sam(kind, dense)
