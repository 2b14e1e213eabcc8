"""Messages to the user."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from napari.utils.notifications import Notification, NotificationSeverity, notification_manager, show_error, show_info

from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.widgets.message_line import MessageLine

COPY = "Copy details"
_log = logging.getLogger(__name__)


class Notifier(Protocol):
    """Receiver of messages to the user."""

    def error(self, message: str) -> None:
        """Report that something failed."""

    def info(self, message: str) -> None:
        """Tell the user something that is no failure."""


@runtime_checkable
class FailureNotifier(Protocol):
    """Receiver that can offer to copy the details of an internal error."""

    def failure(self, message: str, copy: Callable[[], None]) -> None:
        """Report an internal error; `copy` copies its details."""


class NapariNotifier:
    """Show messages as notifications of napari."""

    def error(self, message: str) -> None:
        """Report that something failed."""
        show_error(message)

    def info(self, message: str) -> None:
        """Tell the user something that is no failure."""
        show_info(message)

    def failure(self, message: str, copy: Callable[[], None]) -> None:
        """Report an internal error, with a button that copies its details."""
        actions = ((COPY, lambda _: copy()),)
        notification_manager.dispatch(Notification(message, NotificationSeverity.ERROR, actions=actions))


class DockNotifier:
    """Show messages in full in the dock, besides napari's notifications, which cut long ones.

    Parameters
    ----------
    notifier : Notifier
        Receiver that gets them, too.
    line : MessageLine
        Line of the dock.
    """

    def __init__(self, notifier: Notifier, line: MessageLine) -> None:
        self._notifier, self._line = notifier, line

    def error(self, message: str) -> None:
        """Report that something failed."""
        self._line.error(message)
        self._notifier.error(message)

    def info(self, message: str) -> None:
        """Tell the user something that is no failure."""
        self._line.note(message)
        self._notifier.info(message)

    def note(self, message: str) -> None:
        """Tell the user, in the dock only, what an action did."""
        self._line.note(message)

    def failure(self, error: BaseException) -> None:
        """Report an error of a job: the user's with its remedy, an internal one with details for the clipboard."""
        if isinstance(error, NapariSamError):
            self.error(str(error))
            return
        message = f"Internal error: {type(error).__name__}: {error}"
        _log.error(message, exc_info=error)
        self._line.error(message, "".join(traceback.format_exception(error)))
        if isinstance(self._notifier, FailureNotifier):
            self._notifier.failure(message, self._line.copy_details)
        else:
            self._notifier.error(message)
