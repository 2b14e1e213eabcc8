"""The line on top of the dock: what the user can do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.widgets.engine_session import Answer


def next_step(has_image: bool, answer: Answer | None, tool: str, obstacle: str = "", follow: str = "") -> str:
    """Return the next step on the page "Click".

    Parameters
    ----------
    has_image : bool
        Whether there is an image to segment.
    answer : Answer or None
        Predictions in the preview.
    tool : {"foreground", "background", "box", "brush"}
        Tool in use.
    obstacle : {"", "far", "background"}
        What keeps the tool from working: the view is too large to draw on, or there are background points only.
    follow : str
        How to follow the object through the planes of a stack, as a sentence; empty for a single image.
    """
    if not has_image:
        return "1. Open an image: drop a file here, or File → Open Sample → SAM for huge images."
    if tool == "brush":
        if obstacle == "far":
            return "Zoom in to draw: the visible part is too large to edit at once."
        return "Draw with the brush (1: eraser, 2: brush, 4: fill, M: new object), or press F to click again."
    if answer is None:
        if obstacle == "background":
            return "2. A background point needs an object point too: press F and click the object."
        return "2. Drag boxes around objects." if tool == "box" else "2. Click an object in the image."
    count = len(answer.predictions)
    if count > 1:
        return f"3. {follow or f'Press C to accept all {count} objects, or draw more boxes.'}"
    if follow:
        return f"3. {follow} N shows another mask, more clicks improve it (B: background)."
    return "3. Press C to accept, N for another mask, or click where it is wrong (B: background)."


def flat_step(is_flat: bool) -> str:
    """Return the next step while the viewer shows 3D; empty in 2D."""
    return (
        ""
        if is_flat
        else "The viewer shows 3D: switch to 2D (Ctrl+Y, or the button below the layer list) to click objects."
    )


def hidden_step(image: str, cover: str | None) -> str:
    """Return the next step while the image cannot be seen: it is hidden, or lies under another image; else empty."""
    if cover is None or not image:
        return ""
    if cover == image:
        return f"“{image}” is hidden: show it (the eye in the layer list), or select another image there."
    return f"“{image}” lies under “{cover}”: hide “{cover}”, or select it in the layer list to segment it."


def overlap_step(overlap: str, can_save: bool) -> str:
    """Return the next step while masks lie on saved objects; empty if they do not.

    Parameters
    ----------
    overlap : str
        On which objects, and how much; empty for none.
    can_save : bool
        Whether something is left that can be saved beside them.
    """
    if not overlap:
        return ""
    if can_save:
        return f"Lies {overlap}: C saves what is free beside it, X replaces what lies there."
    return f"Lies {overlap}: X replaces what lies there, N shows another mask."


def correction_step(label: int, has_answer: bool) -> str:
    """Return the next step while an object is corrected."""
    if not has_answer:
        return f"Fixing object {label}: click what is missing, B what is too much, R draws a box. Escape goes back."
    return f"Fixing object {label}: C accepts the new mask, N shows another, clicks improve it. Escape goes back."


IN_MEMORY = "“Write to” is a layer in memory, whose objects this page does not know: choose the label store there."
"""The next step on pages that work on a label store, while accepted objects go to a labels layer."""


def everything_step(has_image: bool, state: str, drawing: bool) -> str:
    """Return the next step on the page "Everything".

    Parameters
    ----------
    has_image : bool
        Whether there is an image to segment.
    state : {"idle", "running", "unfinished", "finished"}
        State of the run; "unfinished" if one can be resumed.
    drawing : bool
        Whether the region is a rectangle that the user draws.
    """
    if not has_image:
        return next_step(False, None, "foreground")
    if state == "running":
        return "Finding all objects. Meanwhile you can look around and click."
    if state == "unfinished":
        return "Stopped: Resume continues the run, Discard forgets it."
    if state == "finished":
        return "Done: review the objects, or undo them all (Ctrl+Z)."
    if drawing:
        return "Drag a rectangle over the image, then press Start."
    return "Choose where to look for objects, then press Start."


def review_step(reviewing: bool, all_done: bool) -> str:
    """Return the next step on the page "Review"; `all_done` means that every object has a verdict."""
    if all_done:
        return "Nothing is left to review: all objects have a verdict. Z takes the last one back."
    if not reviewing:
        return "There is nothing to review yet: find objects on the page “Everything” first."
    return "Is the outlined object right?  A: yes · R: no, erase it · F: fix it · S: later"


def objects_step(total: int, selected: int, classes: int, tool: str) -> str:
    """Return the next step on the page "Objects".

    Parameters
    ----------
    total, selected, classes : int
        Number of saved objects, of those that are selected, and of classes.
    tool : {"pick", "rectangle", "lasso"}
        What the mouse does.
    """
    if not total:
        return "There are no saved objects yet: find some on the page “Everything”, or accept one on “Click”."
    if selected:
        how = "a key from 1 to 9 sets their class" if classes else "“+ Class” adds a class for them"
        return f"{selected} selected: {how}, Delete removes them, J joins them. Escape deselects."
    how = {
        "pick": "Click an object",
        "rectangle": "Drag a box around objects",
        "lasso": "Draw a line around objects",
    }[tool]
    return f"{how} to select; Shift adds, Ctrl takes away. Or write a condition, such as area_px > 50."


def candidate_text(answer: Answer | None, candidate: int) -> str:
    """Return which of the masks is shown, and its score."""
    if answer is None:
        return "no mask yet"
    if len(answer.predictions) > 1:
        return f"{len(answer.predictions)} objects"
    prediction = answer.predictions[0]
    score = float(prediction.predicted_iou[candidate])
    return f"mask {candidate + 1} of {prediction.count}  ·  score {score:.2f}"


def batch_text(answer: Answer, candidates: list[int], position: int | None) -> str:
    """Return the scores of several objects, or which of them is highlighted, and its score."""
    pairs = zip(answer.predictions, candidates, strict=True)
    scores = [float(prediction.predicted_iou[candidate]) for prediction, candidate in pairs]
    if position is None:
        return f"{len(scores)} objects  ·  scores {min(scores):.2f} to {max(scores):.2f}"
    count = answer.predictions[position].count
    which = f"  ·  mask {candidates[position] + 1} of {count}" if count > 1 else ""
    return f"{position + 1} of {len(scores)}{which}  ·  score {scores[position]:.2f}"
