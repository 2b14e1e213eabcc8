"""What is noted with every change: who made it, in which stage, and how long it took."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from napari_sam.io.user_name import user_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_sam.io.labels.journal.rows import Change


class ChangeNotes:
    """Facts that are added to the record of every change of a store.

    Attributes
    ----------
    user : str
        Who makes the changes.
    """

    def __init__(self) -> None:
        self.user = user_name()
        self._of_thread = threading.local()  # a run and the user write at the same time

    @contextlib.contextmanager
    def noting(self, facts: Mapping[str, str | float]) -> Iterator[None]:
        """Add facts to the changes that this thread makes, for ``with``."""
        before = self._facts
        self._of_thread.facts = {**before, **facts}
        try:
            yield
        finally:
            self._of_thread.facts = before

    def add_to(self, change: Change) -> None:
        """Add the facts to the record of a change; what the record has already stays."""
        change.record = {"by": self.user, **self._facts, **change.record}

    @property
    def _facts(self) -> Mapping[str, str | float]:
        facts: Mapping[str, str | float] = getattr(self._of_thread, "facts", {})
        return facts
