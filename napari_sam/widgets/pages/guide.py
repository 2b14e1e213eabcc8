"""What the dock says: the next step, and how good the mask is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.widgets.engine_session import Answer


def next_step(has_image: bool, answer: Answer | None, tool: str, hint: str = "") -> str:
    """What to do next.

    Parameters
    ----------
    has_image : bool
        Whether there is an image to segment.
    answer : Answer or None
        What is previewed.
    tool : {"point", "box", "brush"}
        What is in hand.
    hint : {"", "far", "background"}
        What stands in the way: too much in view to draw on, or only background points so far.
    """
    if not has_image:
        return "1. Open an image: drop a file here, or File → Open Sample → SAM for huge images."
    if tool == "brush" and hint == "far":
        return "Zoom in to draw: what you see is too large to edit at once."
    if tool == "brush":
        return "Draw with the brush (1: eraser, 2: brush, 4: fill, M: new object), or press F to click again."
    if answer is None and hint == "background":
        return "2. A background point needs an object point too: press F and click the object."
    if answer is None:
        return {
            "box": "2. Drag boxes around objects.",
        }.get(tool, "2. Click an object in the image.")
    count = len(answer.predictions)
    if count > 1:
        return f"3. Press C to accept all {count} objects, or draw more boxes."
    return "3. Press C to accept, N for another mask, or click where it is wrong (B: background)."


def everything_step(has_image: bool, running: bool, stopped: bool, finished: bool, drawing: bool) -> str:
    """What to do next on the page "Everything"; `stopped` says that an unfinished run can be gone on with."""
    if not has_image:
        return next_step(False, None, "point")
    if running:
        return "Finding all objects. You can go on looking around and clicking."
    if stopped:
        return "Stopped: Resume goes on, Discard forgets the run."
    if finished:
        return "Done: review the objects, or undo them all (Ctrl+Z)."
    if drawing:
        return "Drag a rectangle over the image, then press Start."
    return "Choose where to look for objects, then press Start."


def review_step(reviewing: bool, all_done: bool) -> str:
    """What to do next on the page "Review"; `all_done` says that there were objects, and each has its verdict."""
    if all_done:
        return "Nothing is left to review: all objects have their verdict. Z takes the last one back."
    if not reviewing:
        return "There is nothing to review yet: find objects on the page “Everything” first."
    return "Is the outlined object right?  A: yes · R: no, erase it · F: fix it · S: later"


def fix_step(label: int, has_answer: bool) -> str:
    """What to do next while an object is corrected."""
    if not has_answer:
        return f"Fixing object {label}: click what is missing, B what is too much, R draws a box. Escape goes back."
    return f"Fixing object {label}: C takes the new mask, N shows another, clicks improve it. Escape goes back."


def candidate_text(answer: Answer | None, candidate: int) -> str:
    """Which of the masks is shown, and its score."""
    if answer is None:
        return "no mask yet"
    if len(answer.predictions) > 1:
        return f"{len(answer.predictions)} objects"
    prediction = answer.predictions[0]
    score = float(prediction.predicted_iou[candidate])
    return f"mask {candidate + 1} of {prediction.count}  ·  score {score:.2f}"
