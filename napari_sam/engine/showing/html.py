"""Results as HTML, for notebooks: a picture beside the essential figures."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from napari_sam.engine.showing.pictures import png_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

_MOST_MARKS = 200
_CELL = "text-align:left;padding:1px 8px;vertical-align:top"


def as_html(title: str, facts: Mapping[str, object], picture: NDArray[np.uint8] | str | None = None) -> str:
    """Return a picture and a table of facts as HTML.

    Parameters
    ----------
    title : str
        Heading.
    facts : mapping of str to object
        Values by name, shown as text; those that are None or empty are left out.
    picture : ndarray of uint8 or str, optional
        (h, w, 3), or an SVG element.

    Examples
    --------
    >>> "<td" in as_html("Image", {"shape": "2 x 3", "CRS": None}), "CRS" in as_html("Image", {"CRS": None})
    (True, False)
    """
    rows = "".join(
        f'<tr><th style="{_CELL}">{escape(name)}</th><td style="{_CELL}">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None and value != ""
    )
    return (
        '<div style="display:flex;gap:12px;align-items:flex-start">'
        f"{_element(picture, title)}<div><b>{escape(title)}</b><table>{rows}</table></div></div>"
    )


def _element(picture: NDArray[np.uint8] | str | None, title: str) -> str:
    if picture is None or isinstance(picture, str):
        return picture or ""
    data = base64.b64encode(png_bytes(picture)).decode()
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{data}" style="image-rendering:pixelated"/>'


def strip_of_scores(upper: Sequence[float], lower: Sequence[float], threshold: float | None, title: str) -> str:
    """Return scores from 0 to 1 as marks along a line, as an SVG element.

    Parameters
    ----------
    upper, lower : sequence of float
        Scores drawn above the line in green, and below it in red; of many, some that are evenly spread.
    threshold : float or None
        Score that a dashed line marks.
    title : str
        Title, for those who cannot see it.
    """
    marks = "".join(
        f'<circle cx="{_position(score)}" cy="{y}" r="4" fill="{colour}" fill-opacity="0.5"/>'
        for scores, y, colour in ((upper, 14, "#2ca02c"), (lower, 34, "#d62728"))
        for score in _some(scores)
    )
    mark = ""
    if threshold is not None:
        at = _position(threshold)
        mark = (
            f'<line x1="{at}" x2="{at}" y1="4" y2="44" stroke="#888" stroke-dasharray="3"/>'
            f'<text x="{at}" y="58" text-anchor="middle" font-size="11" fill="#888">{threshold:.2f}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="256" height="64" role="img"><title>{escape(title)}</title>'
        f'<line x1="10" x2="246" y1="24" y2="24" stroke="#888"/>{marks}{mark}'
        '<g font-size="11" fill="#888"><text x="6" y="58">0</text><text x="242" y="58">1</text></g></svg>'
    )


def _position(score: float) -> str:
    return f"{10 + 236 * min(max(score, 0.0), 1.0):.1f}"


def _some(scores: Sequence[float]) -> Sequence[float]:
    """Return at most `_MOST_MARKS` of the scores, evenly spread over their order."""
    ordered = sorted(scores)
    return ordered[:: -(-len(ordered) // _MOST_MARKS)] if len(ordered) > _MOST_MARKS else ordered
