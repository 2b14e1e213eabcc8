"""Progress and result as JSON lines, for a program that runs a command and shows what it does."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

OPTION = "--events"


def add_events_option(command: argparse.ArgumentParser) -> None:
    """Add ``--events``."""
    command.add_argument(
        OPTION,
        action="store_true",
        help="write progress and result as lines of JSON, and stop when standard input closes; for other programs",
    )


def write_event(event: str, **values: object) -> None:
    """Write a line of JSON to standard output.

    Parameters
    ----------
    event : str
        What happened: its value of the key "event".
    **values
        The other keys.
    """
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def input_closed(stream: TextIO | None = None) -> Callable[[], bool]:
    """Return a function that tells whether standard input was closed, as it is when the program behind it ends.

    Parameters
    ----------
    stream : file, optional
        Standard input by default.
    """
    closed = threading.Event()

    def wait() -> None:
        for _ in stream or sys.stdin:
            pass
        closed.set()

    threading.Thread(target=wait, name="input-closed", daemon=True).start()
    return closed.is_set
