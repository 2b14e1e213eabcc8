"""Messages of the page "Find"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.run_controls import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED_ERRORS = 3
IN_MEMORY = "“Write to” is a layer in memory: choose the image's label store there to save many objects."
KEYS = (
    "Click: like this · Ctrl+click: not like this · A, R: the same for the object under the mouse · L: lasso, P: "
    "clicks again · Z: take back · C: save"
)


def find_step(*, has_image: bool, state: str, has_example: bool, has_words: bool, tool: str) -> str:
    """Return the next step on the page.

    Parameters
    ----------
    has_image, has_example, has_words : bool
        Whether there is an image, an example or a concept, and a description in words.
    state : {"idle", "marking", "searching", "running", "found", "saved"}
        What goes on.
    tool : {"pick", "lasso"}
        What the mouse does.
    """
    if not has_image:
        return "1. Open an image: drop a file here, or File → Open Sample → SAM for huge images."
    if state == "searching":
        return "Looking for objects like the examples. Cancel stops it."
    if state == "running":
        return "Finding and saving. Meanwhile you can look around."
    if state == "marking":
        return "Outlining what you clicked…"
    if state == "found" and tool == "lasso":
        return "3. Draw around objects that are right; hold Ctrl for those that are wrong. C saves all outlined."
    if state == "found":
        return "3. Drag the line below, click what is right, Ctrl+click what is wrong. C saves all outlined."
    if not has_example and has_words:
        return "2. Press the button to find what the words describe."
    if not has_example:
        return "1. Click an object of the kind you look for: saved, of a labels layer, or in the image. Or use words."
    if state == "saved":
        return "Saved. Move on and press “Find all like this” again, or review the objects."
    return "2. Press “Find all like this”, or mark more: click (like this), Ctrl+click (not like this)."


def examples_text(accepted: int, rejected: int, concept: str) -> str:
    """Return what is looked for, in words.

    >>> examples_text(1, 2, ""), examples_text(0, 0, "nucleus"), examples_text(0, 0, "")
    ('1 object like this, 2 not like this', 'concept “nucleus”', 'no example yet')
    """
    parts = [f"concept “{concept}”"] if concept else []
    if accepted:
        parts.append(f"{accepted} object{'' if accepted == 1 else 's'} like this")
    if rejected:
        parts.append(f"{rejected} not like this")
    return ", ".join(parts) or "no example yet"


def results_text(results: int, candidates: int, threshold: float) -> str:
    """Return how many candidates count as found.

    >>> results_text(3, 10, 0.5)
    '3 of 10 candidates (score from 0.50)'
    """
    return f"{results} of {candidates} candidates (score from {threshold:.2f})"


def saved_text(saved: int, known: int, category: str | None) -> str:
    """Return what became of the results.

    >>> saved_text(12, 1, "nucleus"), saved_text(0, 2, None)
    ('Saved 12 objects as “nucleus”. 1 was saved before.', 'Saved no new object. 2 were saved before.')
    """
    count = f"{saved} object{'' if saved == 1 else 's'}" if saved else "no new object"
    text = f"Saved {count}{f' as “{category}”' if category and saved else ''}."
    if known:
        text += f" {known} {'was' if known == 1 else 'were'} saved before."
    return text


def found_text(objects: int, failed: int, seconds: float) -> str:
    """Return what a run over an image found.

    >>> found_text(340, 1, 125)
    'Found and saved 340 objects in 2 min. 1 tile failed.'
    """
    count = f"{objects} object{'' if objects == 1 else 's'}" if objects else "no new object"
    parts = f"{failed} tile{'' if failed == 1 else 's'} failed." if failed else ""
    return f"Found and saved {count} in {duration(seconds)}. {parts}".strip()


def folder_text(objects: int, images: int, folder: str, errors: Sequence[str], seconds: float) -> str:
    """Return what a run over a folder found, and which images failed.

    >>> folder_text(12, 3, "/data/found cell", ["b.tif: damaged"], 30)
    'Found 12 objects in 3 images in 30 s. They are saved in /data/found cell. 1 failed: b.tif: damaged.'
    """
    text = f"Found {objects} objects in {images} images in {duration(seconds)}. They are saved in {folder}."
    if not errors:
        return text
    more = len(errors) - _NAMED_ERRORS
    rest = f"; and {more} more" if more > 0 else ""
    return f"{text} {len(errors)} failed: {'; '.join(errors[:_NAMED_ERRORS])}{rest}."
