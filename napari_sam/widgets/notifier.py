"""Messages to the user."""

from __future__ import annotations

from typing import Protocol

from napari.utils.notifications import show_error, show_info


class Notifier(Protocol):
    """Receiver of messages to the user."""

    def error(self, message: str) -> None:
        """Report that something failed."""

    def info(self, message: str) -> None:
        """Tell the user something that is no failure."""


class NapariNotifier:
    """Show messages as notifications of napari."""

    def error(self, message: str) -> None:
        """Report that something failed."""
        show_error(message)

    def info(self, message: str) -> None:
        """Tell the user something that is no failure."""
        show_info(message)
