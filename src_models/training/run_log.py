"""What a run leaves to look at: a table of numbers and pictures of predictions."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from src_models.checkpoints.checkpoint_files import replacing_checkpoint
from src_models.model_errors import CheckpointError, TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_TRUTH, _PREDICTED, _CLICKS = (255, 220, 0), (0, 200, 255), {1: (0, 255, 0), 0: (255, 0, 0)}


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a row to a CSV table, with a header if it is new.

    Raises
    ------
    TrainingError
        If there is no room.
    """
    new = not path.exists()
    try:
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror}); make room and run again") from error


def drop_rows_after(path: Path, step: int) -> None:
    """Forget rows that a killed run wrote after its last checkpoint, so that no step is in the table twice."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    if not rows or "step" not in rows[0]:
        path.unlink()
        return
    width, column = len(rows[0]), rows[0].index("step")
    kept = [rows[0], *(row for row in rows[1:] if len(row) == width and int(row[column]) <= step)]
    with replacing_checkpoint(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows(kept)


def picture(
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    points: list[tuple[int, int, int]],
) -> NDArray[np.uint8]:
    """Draw outlines of the true (yellow) and predicted (blue) mask and the clicks (green, red).

    Parameters
    ----------
    image : ndarray of uint8
        (S, S, 3).
    truth, predicted : ndarray of bool
        (S, S).
    points : list of (int, int, int)
        (y, x, label) of each click.

    Returns
    -------
    ndarray of uint8
        (S, S, 3).
    """
    out = image.copy()
    for mask, colour in ((truth, _TRUTH), (predicted, _PREDICTED)):
        inner = mask.copy()
        inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        inner[[0, -1]] = inner[:, [0, -1]] = False
        out[mask & ~inner] = colour
    for y, x, label in points:
        out[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = _CLICKS[label]
    return out


def save_sheet(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    """Write pictures of one size side by side, as PNG.

    Raises
    ------
    TrainingError
        If there is no room.
    """
    try:
        with replacing_checkpoint(path) as temporary:
            Image.fromarray(np.concatenate(pictures, axis=1)).save(temporary, "PNG")
    except CheckpointError as error:
        raise TrainingError(f"{error}; make room and run again") from error
