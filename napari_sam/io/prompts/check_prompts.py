"""Check the rows of a source against an image, all at once, and combine them to prompts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.windows import LARGEST_MASK_PX
from napari_sam.errors import PromptError
from napari_sam.io.prompts.column_names import standard_columns
from napari_sam.io.prompts.prompt_rows import BOX, POINT
from napari_sam.io.prompts.prompt_table import PromptTable
from napari_sam.io.prompts.table_values import group_numbers, invalid_names, numbers_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.prompts.prompt_rows import PromptRows


@dataclass(frozen=True)
class _Columns:
    """Columns of the rows as arrays.

    Attributes
    ----------
    frame : DataFrame
        The rows with standard names of columns.
    boxes : ndarray
        (rows, 4); NaN without a box.
    points : ndarray
        (rows, 2); NaN without a point.
    labels : ndarray
        (rows,) point labels.
    invalid_object : ndarray of bool
        (rows,) whether the object is not a name.
    owner : ndarray of int
        (rows,) index of the prompt that a row belongs to.
    """

    frame: pd.DataFrame
    boxes: NDArray[np.float64]
    points: NDArray[np.float64]
    labels: NDArray[np.float64]
    invalid_object: NDArray[np.bool_]
    owner: NDArray[np.int64]

    @property
    def no_box(self) -> NDArray[np.bool_]:
        """(rows,) whether a row has no box."""
        return np.asarray(np.isnan(self.boxes).all(axis=1), bool)

    @property
    def no_point(self) -> NDArray[np.bool_]:
        """(rows,) whether a row has no point."""
        return np.asarray(np.isnan(self.points).all(axis=1), bool)

    def box_text(self, i: int) -> str:
        """Return the box of a row in a message."""
        return _text("box", self.boxes[i])

    def point_text(self, i: int) -> str:
        """Return the point of a row in a message."""
        return _text("point", self.points[i])


@dataclass(frozen=True)
class _Problem:
    """A reason to refuse rows: its name, the rows (rows,), and the message for one of them."""

    reason: str
    rows: NDArray[np.bool_]
    describe: Callable[[int], str]


def check_prompts(rows: PromptRows, shape: tuple[int, int], *, skip: bool, masks: bool) -> PromptTable:
    """Return the prompts of a source that are valid in an image.

    Parameters
    ----------
    rows : PromptRows
        The source.
    shape : (int, int)
        Height and width of the image.
    skip : bool
        Leave out and count prompts that are not valid, instead of raising an error.
    masks : bool
        Keep the masks of the source.

    Raises
    ------
    PromptError
        If the table has no columns of boxes or points, or the first prompt that is not valid, unless `skip` is set.
    """
    columns = _columns(standard_columns(rows.frame, rows.name))
    if columns is None:
        raise PromptError(
            f"{rows.name}: columns {', '.join(map(repr, list(rows.frame.columns)[:12]))}",
            remedy="give y0, x0, y1, x1 or x, y, width, height (boxes), or y, x (points)",
        )
    with np.errstate(all="ignore"):  # numbers beyond all bounds are found below
        problems = _problems(columns, shape)
    bad = np.zeros(int(columns.owner.max(initial=-1)) + 1, bool)
    skipped = _refuse(rows, columns, problems, bad, skip)
    return _combine(rows, columns, shape, np.flatnonzero(~bad), skipped=skipped, masks=masks)


def _columns(frame: pd.DataFrame) -> _Columns | None:
    """Return the columns of a table; None if it has neither boxes nor points."""
    has_box, has_point = (set(names) <= set(frame.columns) for names in (BOX, POINT))
    if not has_box and not has_point:
        return None
    count = len(frame)
    labels, invalid, owner = np.ones(count), np.zeros(count, bool), np.arange(count)
    if has_point and "label" in frame.columns:
        labels = numbers_of(frame, ("label",))[:, 0]
    if has_point and "object" in frame.columns:
        invalid = invalid_names(frame["object"])
        owner = group_numbers(frame["object"].mask(invalid) if invalid.any() else frame["object"])
    return _Columns(
        frame,
        numbers_of(frame, BOX) if has_box else np.full((count, 4), np.nan),
        numbers_of(frame, POINT) if has_point else np.full((count, 2), np.nan),
        labels,
        invalid,
        owner,
    )


def _problems(columns: _Columns, shape: tuple[int, int]) -> list[_Problem]:
    """Return every reason to refuse a row, in the order of their precedence."""
    frame, no_box, no_point = columns.frame, columns.no_box, columns.no_point
    finite_box, finite_point = np.isfinite(columns.boxes).all(1), np.isfinite(columns.points).all(1)
    infinite = (no_box & no_point) | (~no_box & ~finite_box) | (~no_point & ~finite_point)
    unreadable = np.array(frame["problem"].notna()) if "problem" in frame else np.zeros(len(frame), bool)
    return [
        _Problem(
            "object", columns.invalid_object, lambda i: f"object {frame['object'].iloc[i]!r}: give a number or a word"
        ),
        _Problem("unreadable", unreadable, lambda i: f"{frame['problem'].iloc[i]}; correct or remove it"),
        _Problem("not finite", infinite, lambda i: f"{_cells(frame, i)}: not finite numbers; correct or remove it"),
        *_box_problems(columns, shape),
        *_label_problems(columns),
    ]


def _box_problems(columns: _Columns, shape: tuple[int, int]) -> list[_Problem]:
    """Return the reasons that concern where boxes and points lie."""
    (y0, x0, y1, x1), (y, x), (h, w) = columns.boxes.T, columns.points.T, shape
    no_box, no_point = columns.no_box, columns.no_point
    areas = (np.minimum(y1, h) - np.maximum(y0, 0)) * (np.minimum(x1, w) - np.maximum(x0, 0))
    box_outside = ~no_box & ((y1 <= 0) | (x1 <= 0) | (y0 >= h) | (x0 >= w))
    point_outside = ~no_point & ~((y >= -0.5) & (y <= h) & (x >= -0.5) & (x <= w))
    return [
        _Problem(
            "empty",
            ~no_box & ((y1 <= y0) | (x1 <= x0)),
            lambda i: f"{columns.box_text(i)} is empty: y1 must exceed y0 and x1 exceed x0",
        ),
        _Problem(
            "outside",
            box_outside | point_outside,
            lambda i: (
                f"{columns.point_text(i) if no_box[i] else columns.box_text(i)} lies outside the image of shape "
                f"{shape}; check that its coordinates are (y, x), and of this image"
            ),
        ),
        _Problem(
            "too large",
            ~no_box & (areas > LARGEST_MASK_PX),
            lambda i: f"{columns.box_text(i)} spans more than {LARGEST_MASK_PX} px, the largest mask; cut it",
        ),
    ]


def _label_problems(columns: _Columns) -> list[_Problem]:
    """Return the reasons that concern point labels."""
    labels, no_point = columns.labels, columns.no_point
    grouped = "object" in columns.frame
    return [
        _Problem(
            "label",
            ~no_point & ~np.isin(labels, (0, 1)),
            lambda i: (
                f"label {labels[i]:g} of {columns.point_text(i)}: 1 is on the object and 0 beside it; the column that "
                "groups the points of one object is called 'object'"
            ),
        ),
        _Problem(
            "alone",
            ~no_point & ~_has_foreground(columns),
            lambda i: (
                "its object has background points only (label 0); add one on it"
                if grouped
                else f"{columns.point_text(i)} is a background point (label 0); name its object in a column 'object'"
            ),
        ),
    ]


def _has_foreground(columns: _Columns) -> NDArray[np.bool_]:
    """Return for each row (rows,) whether its prompt has a box, or a point on the object."""
    if not len(columns.owner):
        return columns.no_box
    on_object = ~columns.no_box | (~columns.no_point & (columns.labels != 0))
    present: NDArray[np.bool_] = np.bincount(columns.owner, on_object)[columns.owner] > 0
    return present


def _refuse(
    rows: PromptRows, columns: _Columns, problems: Sequence[_Problem], bad: NDArray[np.bool_], skip: bool
) -> dict[str, int]:
    """Raise for the first row with a problem, or mark its prompt in `bad`; returns how many by reason."""
    first = [(int(np.flatnonzero(problem.rows)[0]), problem) for problem in problems if problem.rows.any()]
    if first and not skip:
        i, problem = min(first, key=lambda pair: pair[0])
        raise PromptError(
            f"{rows.name}: {rows.word} {rows.numbers[i]}: {problem.describe(i)}",
            remedy="or leave out such prompts with {errors=skip}",
        )
    skipped: Counter[str] = Counter()
    for problem in problems:
        refused = np.unique(columns.owner[problem.rows])
        refused = refused[~bad[refused]]
        bad[refused] = True
        skipped[problem.reason] += len(refused)
    return {reason: count for reason, count in skipped.items() if count}


def _combine(
    rows: PromptRows,
    columns: _Columns,
    shape: tuple[int, int],
    kept: NDArray[np.int64],
    *,
    skipped: dict[str, int],
    masks: bool,
) -> PromptTable:
    """Combine the rows of each kept prompt."""
    frame, owner = columns.frame, columns.owner
    count = int(owner.max(initial=-1)) + 1
    is_kept = np.zeros(count, bool)
    is_kept[kept] = True
    boxes = np.stack([np.clip(columns.boxes[:, i], 0, shape[i % 2]) for i in range(4)], axis=1)
    with_box = np.flatnonzero(~np.isnan(boxes[:, 0]))[::-1]
    prompt_boxes = np.full((count, 4), np.nan)
    prompt_boxes[owner[with_box]] = boxes[with_box]  # the first box of each prompt, because the order is reversed
    with_point = np.flatnonzero(~np.isnan(columns.points[:, 0]) & is_kept[owner]) if count else np.zeros(0, np.int64)
    with_point = with_point[np.argsort(owner[with_point], kind="stable")]
    counts = np.bincount(owner[with_point], minlength=count)[kept]
    first_rows = np.full(count, -1, np.int64)
    first_rows[owner[::-1]] = np.arange(len(owner))[::-1]
    first_rows = first_rows[kept]
    mask = rows.mask if masks else None
    return PromptTable(
        boxes=prompt_boxes[kept],
        points=columns.points[with_point],
        point_labels=(columns.labels[with_point] == 1).astype(np.int64),  # rows with other labels were refused
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        category=texts_of(frame["category"], first_rows) if "category" in frame else [None] * len(kept),
        track=texts_of(frame["track"], first_rows) if "track" in frame else [],
        parent=texts_of(frame["parent"], first_rows) if "parent" in frame else [],
        score=numbers_of(frame, ("score",))[first_rows, 0] if "score" in frame else np.full(len(kept), np.nan),
        number=rows.numbers[first_rows],
        word=rows.word,
        skipped=skipped,
        mask=None if mask is None else lambda i: mask(int(first_rows[i])),
        classes=rows.classes,
    )


def _cells(frame: pd.DataFrame, i: int) -> str:
    """Return the coordinates of a row as they are in the table."""
    names = [name for name in (*BOX, *POINT) if name in frame.columns]
    return ", ".join(f"{name} = {frame[name].iloc[i]}" for name in names)


def _text(what: str, values: NDArray[np.float64]) -> str:
    return f"{what} ({', '.join(f'{v:g}' for v in values)})"
