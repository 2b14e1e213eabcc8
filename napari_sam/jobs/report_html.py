"""Reports of runs as HTML, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.engine.showing.html import as_html
from napari_sam.io.labels.reading.label_view import store_html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam.io.labels.label_store import LabelStore


def report_html(title: str, facts: Mapping[str, object], labels: LabelStore) -> str:
    """Return a report as HTML: its figures beside a picture of its label store, while that is open."""
    if labels.closed:
        return as_html(title, {**facts, "label store": f"{labels.path} (closed)"})
    return store_html(labels, title, dict(facts))


def time_text(seconds: Mapping[str, float]) -> str:
    """Return the times of the parts of a run.

    >>> time_text({"find": 12.34, "write": 0.5})
    'find 12.3 s, write 0.5 s'
    """
    return ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())


def failure_text(failed: Sequence[object], total: int, name: str) -> str:
    """Return how many parts of a run failed; empty for none.

    >>> failure_text([], 4, "tiles"), failure_text([1], 4, "tiles")
    ('', '1 of 4 tiles')
    """
    return f"{len(failed)} of {total} {name}" if failed else ""
