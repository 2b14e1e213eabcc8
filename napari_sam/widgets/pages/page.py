"""The contract between the dock and its pages."""

from __future__ import annotations

from typing import Protocol


class Page(Protocol):
    """Controller of one page."""

    def refresh(self) -> None:
        """Enable the controls that can be used now."""

    def guide(self) -> str:
        """Return what the user can do next."""
        ...

    def close(self) -> None:
        """Release everything that the page holds in the viewer."""
