"""Stop long commands cleanly at Ctrl+C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_sam.cli.progress_line import interrupt_line
from napari_sam.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def interruptible(message: str) -> Iterator[Callable[[], bool]]:
    """Let Ctrl+C, or a scheduler's SIGTERM, stop the work after its current step; a second signal stops at once.

    Parameters
    ----------
    message : str
        Written to standard error when the signal arrives.

    Yields
    ------
    callable
        Returns True once a signal has arrived; the work passes it on as `cancelled`.

    Raises
    ------
    KeyboardInterrupt
        At the end, if a signal arrived: the command then fails, and a script does not continue.
    """
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, handlers[number])
        interrupt_line(message)

    main_thread = threading.current_thread() is threading.main_thread()  # Python handles signals in no other
    handlers = {int(n): signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)} if main_thread else {}
    for number in handlers:
        signal.signal(number, stop)
    try:
        yield lambda: bool(received)
    except CancelledError:
        if not received:
            raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received:
        raise KeyboardInterrupt
