"""Annotations and detections of YOLO as prompts: one line per object, as fractions of the image's size."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.prompts.formats.polygon_masks import polygons_mask
from napari_sam.io.prompts.prompt_rows import BOX, PromptRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.io.images.lazy_image import Image

_NAMES_BYTES = 1 << 20  # of a file of class names
_NAME_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml", "data.yml")
_FOLDERS_UP = 4  # folders above the file that may hold the class names
_BOX_FIELDS = (5, 6)  # class, centre, size, and the confidence of a detection
_POLYGON_FIELDS = 7  # class and three corners
_EMPTY = ("a file of YOLO without objects", "give a file with at least one box")


def is_yolo(head: str) -> bool:
    """Return whether the first line of a text file is one of YOLO: numbers without names of columns.

    >>> is_yolo("0 0.5 0.5 0.2 0.1"), is_yolo("y0 x0 y1 x1"), is_yolo("1,2,3,4")
    (True, False, False)
    """
    fields = head.split()
    return len(fields) >= _BOX_FIELDS[0] and all(_number(field) is not None for field in fields)


def rows_of_yolo(path: Path, image: Image) -> PromptRows:
    """Return the objects of a text file of YOLO: ``class x_centre y_centre width height [confidence]`` per line.

    A line ``class x1 y1 x2 y2 x3 y3 ...`` is an outline, which gives its box and its pixels. The names of the classes
    come from a file ``classes.txt``, ``obj.names`` or ``data.yaml`` in the same folder or in one above it.

    Parameters
    ----------
    path : Path
        The file.
    image : Image
        The image to segment, whose height and width the fractions refer to.

    Raises
    ------
    PromptError
        If the file holds no object.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    lines = path.read_text(encoding="utf-8-sig").splitlines()
    numbers = [i for i, line in enumerate(lines, start=1) if line.strip()]
    if not numbers:
        raise PromptError(f"{path}: {_EMPTY[0]}", remedy=_EMPTY[1])
    names = _class_names(path)
    outlines: dict[int, NDArray[np.float64]] = {}
    rows: list[dict[str, object]] = []
    for i, number in enumerate(numbers):
        row, outline = _row(lines[number - 1].split(), image.shape, names)
        rows.append(row)
        if outline is not None:
            outlines[i] = outline
    frame = pd.DataFrame(rows, columns=[*BOX, "category", "score", "problem"])

    def mask(i: int) -> MaskPrompt | None:
        return polygons_mask([[outlines[i]]], image.shape) if i in outlines else None

    return PromptRows(frame, str(path), "line", np.array(numbers, np.int64), mask if outlines else None)


def _row(
    fields: Sequence[str], shape: tuple[int, int], names: dict[int, str]
) -> tuple[dict[str, object], NDArray[np.float64] | None]:
    """Return a line as a row of the table, and its outline (R, 2) as (y, x) if it is one."""
    values = [_number(field) for field in fields]
    if not values or any(value is None for value in values):
        return {"problem": f"{' '.join(fields)[:60]!r} are not numbers"}, None
    numbers = np.array(values, np.float64)
    if not float(numbers[0]).is_integer() or numbers[0] < 0:
        return {"problem": f"the class {fields[0]} is not a whole number from 0"}, None
    row: dict[str, object] = {"category": names.get(int(numbers[0]), str(int(numbers[0])))}
    height, width = shape
    if len(numbers) in _BOX_FIELDS:
        x, y, w, h = numbers[1:5]
        if problem := _outside(numbers[1:5]):
            return {**row, "problem": problem}, None
        corners = ((y - h / 2) * height, (x - w / 2) * width, (y + h / 2) * height, (x + w / 2) * width)
        row.update(zip(BOX, corners, strict=True))
        if len(numbers) == _BOX_FIELDS[1]:
            row["score"] = float(numbers[5])
        return row, None
    if len(numbers) < _POLYGON_FIELDS or len(numbers) % 2 == 0:
        return {
            **row,
            "problem": f"{len(numbers)} numbers, not 5, 6 (a box) or an odd number from 7 (an outline)",
        }, None
    if problem := _outside(numbers[1:]):
        return {**row, "problem": problem}, None
    outline = numbers[1:].reshape(-1, 2)[:, ::-1] * (height, width)
    row.update(zip(BOX, [*outline.min(0).tolist(), *outline.max(0).tolist()], strict=True))
    return row, outline


def _outside(fractions: NDArray[np.float64]) -> str | None:
    """Return what is wrong with fractions of the image's size; None if they lie in it, up to rounding."""
    bad = fractions[~((fractions >= -0.01) & (fractions <= 1.01))]
    return f"{bad[0]:g} is not a fraction of the image's size" if len(bad) else None


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _class_names(path: Path) -> dict[int, str]:
    """Return the names of classes by number, from a file beside the annotations or in a folder above them.

    Raises
    ------
    PromptError
        If the file cannot be read.
    """
    for folder in [path.parent, *path.absolute().parent.parents][: _FOLDERS_UP + 1]:
        for file in (folder / name for name in _NAME_FILES):
            if file != path and file.is_file() and file.stat().st_size <= _NAMES_BYTES:
                text = file.read_text(encoding="utf-8-sig")
                names = _names_of_yaml(text) if file.suffix in (".yaml", ".yml") else _names_of_lines(text)
                if names:
                    return names
    return {}


def _names_of_lines(text: str) -> dict[int, str]:
    return {i: name.strip() for i, name in enumerate(text.splitlines()) if name.strip()}


def _names_of_yaml(text: str) -> dict[int, str]:
    r"""Return ``names`` of a data set's YAML file: a list or numbered names, in one line or one per line.

    >>> _names_of_yaml("nc: 2\nnames: ['cell', 'debris']")
    {0: 'cell', 1: 'debris'}
    >>> _names_of_yaml("names:\n  0: cell  # living\n  7: debris\npath: .")
    {0: 'cell', 7: 'debris'}
    >>> _names_of_yaml("names:\n- cell\n- debris")
    {0: 'cell', 1: 'debris'}
    """
    found = re.search(r"^names:[ \t]*(.*(?:\n(?:[ \t]+|-).*)*)", text, re.MULTILINE)
    if found is None:
        return {}
    content = found[1].strip()
    if content[:1] in ("[", "{"):
        return _names_in_line(content)
    names: dict[int, str] = {}
    for line in content.splitlines():
        entry = re.match(r"\s*(?:-|(\d+)\s*:)\s*(.+)", line)
        if entry is not None:
            names[len(names) if entry[1] is None else int(entry[1])] = _unquoted(entry[2])
    return names


def _names_in_line(content: str) -> dict[int, str]:
    try:
        literal = ast.literal_eval(content)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # names without quotes
        parts = [part.strip() for part in content.strip("[]{} \n").split(",") if part.strip()]
        keyed = [re.match(r"(\d+)\s*:\s*(.+)", part) for part in parts]
        return {
            i if key is None else int(key[1]): _unquoted(part if key is None else key[2])
            for i, (part, key) in enumerate(zip(parts, keyed, strict=True))
        }
    items = literal.items() if isinstance(literal, dict) else enumerate(literal)
    return {int(i): str(name) for i, name in items if isinstance(i, int)}


def _unquoted(name: str) -> str:
    quoted = re.match(r"""(['"])(.*)\1""", name.strip())
    return quoted[2] if quoted is not None else name.split(" #")[0].strip()
