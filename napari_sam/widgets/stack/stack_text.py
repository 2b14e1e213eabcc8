"""What the dock tells about objects on many planes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_sam.widgets.stack.plane_strip import StripContent

_MOST_RUNS = 3


def planes_text(planes: Iterable[int]) -> str:
    """Return planes in words.

    >>> planes_text([3, 4, 5, 9]), planes_text([7]), planes_text(range(0, 20, 2))
    ('3–5, 9', '7', '0, 2, 4 … 18')
    """
    ordered = sorted(planes)
    if not ordered:
        return "none"
    starts = [ordered[0], *(b for a, b in pairwise(ordered) if b > a + 1)]
    ends = [*(a for a, b in pairwise(ordered) if b > a + 1), ordered[-1]]
    runs = [str(a) if a == b else f"{a}–{b}" for a, b in zip(starts, ends, strict=True)]
    if len(runs) <= _MOST_RUNS:
        return ", ".join(runs)
    return f"{', '.join(runs[:_MOST_RUNS])} … {ordered[-1]}"


def summary_text(content: StripContent, name: str, stopped: Mapping[str, str] | None = None) -> str:
    """Return where an object exists and where it is weakest, with why it ends where it does.

    >>> from napari_sam.widgets.stack.plane_strip import StripContent
    >>> summary_text(StripContent(64, {12: 0.9, 13: 0.61}, weakest=13), "Object")
    'Object on planes 12–13 of 64 · weakest 13 (0.61)'
    """
    if not content.scores:
        return f"{name}: on no {content.noun} yet"
    several = "s" if len(content.scores) > 1 else ""
    text = f"{name} on {content.noun}{several} {planes_text(content.scores)} of {content.count}"
    if content.weakest is not None and len(content.scores) > 1:
        text += f" · weakest {content.weakest} ({content.scores[content.weakest]:.2f})"
    said = [f"{way}: {reason}" for way, reason in (stopped or {}).items() if reason]
    said += [content.text(plane) for plane in sorted(content.notes) if plane not in content.scores][:_MOST_RUNS]
    reasons = "; ".join(said)
    return f"{text}. {reasons}" if reasons else text


def count_text(content: StripContent) -> str:
    """Return on how many planes an object lies, and its lowest score.

    >>> from napari_sam.widgets.stack.plane_strip import StripContent
    >>> count_text(StripContent(64, {12: 0.9, 13: 0.61}))
    '2 planes  ·  lowest score 0.61'
    """
    count = len(content.scores)
    several = "" if count == 1 else "s"
    lowest = f"  ·  lowest score {min(content.scores.values()):.2f}" if count else ""
    return f"{count} {content.noun}{several}{lowest}"


def follow_hint(has_depth: bool, has_time: bool) -> str:
    """Return which keys follow the object, or accept it on one plane; empty for a single image."""
    if has_depth and has_time:
        return "G follows it through the stack, Shift+G through time, C accepts it on this plane only."
    if has_depth:
        return "G follows it through the stack, C accepts it on this plane only."
    return "G follows it through time, C accepts it on this frame only." if has_time else ""


def hand_step(content: StripContent, running: bool, label: int | None = None) -> str:
    """Return the next step while an object on many planes is in hand; `label` is a saved one that is corrected."""
    if running:
        return f"The correction is carried to the neighbouring {content.noun}s. You can look, and click on."
    begin = "3." if label is None else f"Object {label}:"
    return (
        f"{begin} Check the {content.noun}s (W: weakest, strip, slider): click where it is wrong, K where it is not. "
        "C saves all, Q keeps it for later, Escape drops it."
    )


def running_step(noun: str, count: int) -> str:
    """Return the next step while objects are followed and none is in hand."""
    which = "the object" if count == 1 else f"{count} objects"
    return f"Following {which} through the {noun}s. Meanwhile click the next object."


def swapped_text(axes: str, store_axes: str | None) -> str:
    """Return what changed when depth and time of an image were swapped.

    Parameters
    ----------
    axes : str
        The axes of several planes, as they are called now.
    store_axes : str or None
        Axes of the label store in use.

    Examples
    --------
    >>> swapped_text("t", None)
    'The planes are frames of a movie now: G follows an object through time.'
    """
    if "z" in axes and "t" in axes:
        text = "Depth and time are swapped: G follows an object through the stack, Shift+G through time."
        if axes.index("z") < axes.index("t"):
            text += " To save objects with these axes, run 'napari-sam transcode' once, with --axes."
    elif "t" in axes:
        text = "The planes are frames of a movie now: G follows an object through time."
    else:
        text = "The frames are planes of a volume now: G follows an object through the stack."
    if store_axes is None:
        return text
    return f"{text} The label store keeps its axes {store_axes}: for tracks and volumes, choose a new one."
