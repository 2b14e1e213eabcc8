"""Messages of the page "Find"."""

from __future__ import annotations

KEYS = (
    "Click: like this · Ctrl+click: not like this · A, R: the same for the object under the mouse · L: lasso, P: "
    "clicks again · Z: take back · C: save"
)


def find_step(*, has_image: bool, state: str, has_example: bool, tool: str) -> str:
    """Return the next step on the page.

    Parameters
    ----------
    has_image, has_example : bool
        Whether there is an image, and something to look for.
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
    if not has_example:
        return "1. Click an object of the kind you look for: saved, of another labels layer, or only in the image."
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
