"""Prompts for many objects, from tables, detectors, drawings and other programs' labels, checked all at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.windows import LARGEST_MASK_PX
from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.prompts.columns import renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt

BOX = ("y0", "x0", "y1", "x1")
POINT = ("y", "x")
COORDINATES = ("auto", "pixels", "map", "lonlat")
_ERRORS = ("raise", "skip")
_ARRAY = "the prompts"  # what messages call an array
_LARGEST = 1 << 1000  # of whole numbers that are sure to fit a float
_SKIP = 'or leave such prompts out with errors="skip"'


@dataclass(frozen=True)
class Rows:
    """What a source holds, not yet checked.

    Attributes
    ----------
    frame : DataFrame
        Columns ``y0 x0 y1 x1`` (boxes), ``y x`` (points), or both; if need be ``label`` (of a point: 1 on the object,
        0 beside it), ``object`` (rows of one value are one prompt), ``category``, ``score`` and ``problem`` (text;
        what is wrong with a row).
    name, word : str
        What messages call the source and a row of it.
    numbers : ndarray of int
        (rows,) what messages call each row.
    mask : callable or None
        From a row's position to its `MaskPrompt`, or None if it has no pixel.
    """

    frame: pd.DataFrame
    name: str
    word: str
    numbers: NDArray[np.int64]
    mask: Callable[[int], MaskPrompt | None] | None = None


@dataclass(frozen=True, repr=False)
class PromptTable:
    """Prompts that are valid for one image, as arrays: a million take about 100 MB.

    Attributes
    ----------
    boxes : ndarray of float
        (n, 4) as (y0, x0, y1, x1), level-0 pixels, inside the image; not a number where a prompt has no box.
    points : ndarray of float
        (p, 2) as (y, x), those of one prompt together.
    point_labels : ndarray of int
        (p,) 1 on the object, 0 beside it.
    first : ndarray of int
        (n + 1,) where each prompt's points begin.
    category : list of str or None
        (n,) what kind of object it is.
    score : ndarray of float
        (n,) how sure the source was; not a number where it did not say.
    number : ndarray of int
        (n,) what the source calls the row of each.
    word : str
        What the source calls a row.
    skipped : dict of str to int
        How many were left out, by reason.
    """

    boxes: NDArray[np.float64]
    points: NDArray[np.float64]
    point_labels: NDArray[np.int64]
    first: NDArray[np.int64]
    category: list[str | None]
    score: NDArray[np.float64]
    number: NDArray[np.int64]
    word: str = "row"
    skipped: dict[str, int] = field(default_factory=dict)
    mask: Callable[[int], MaskPrompt | None] | None = None

    def __len__(self) -> int:
        """Number of prompts."""
        return len(self.boxes)

    def __repr__(self) -> str:
        return f"<PromptTable of {len(self)} prompts, {sum(self.skipped.values())} left out>"

    def points_of(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Points (P, 2) and point labels (P,) of a prompt."""
        part = slice(int(self.first[i]), int(self.first[i + 1]))
        return self.points[part], self.point_labels[part]

    def box_of(self, i: int) -> tuple[float, float, float, float] | None:
        """(y0, x0, y1, x1) of a prompt, if it has a box."""
        y0, x0, y1, x1 = self.boxes[i].tolist()
        return None if y0 != y0 else (y0, x0, y1, x1)

    def ask(self, i: int) -> dict[str, Any]:
        """A prompt as the predictor's keywords; reads its mask, if it has one."""
        points, labels = self.points_of(i)
        ask: dict[str, Any] = {"points": points, "point_labels": labels} if len(points) else {}
        box = self.box_of(i)
        if box is not None:
            ask["box"] = box
        mask = None if self.mask is None else self.mask(i)
        if mask is not None:
            ask["mask"] = mask
        return ask


def read_prompts(  # one keyword for each thing a source leaves open
    source: Any,
    image: Any,
    *,
    masks: bool = False,
    coordinates: str = "auto",
    image_id: int | None = None,
    errors: str = "raise",
) -> PromptTable:
    """Read prompts from any source and check them against an image.

    Parameters
    ----------
    source
        A CSV or Parquet file or a pandas DataFrame with columns ``y0, x0, y1, x1`` (boxes, half-open; or ``x, y,
        width, height``, ``xmin, ymin, xmax, ymax``, ``left, top, right, bottom``) or ``y, x`` (points; pixel centres
        are whole numbers; or napari's ``axis-0, axis-1``), if need be ``category`` and ``score``, and for points
        ``label`` (1 on the object, 0 beside it) and ``object`` (points of one value belong to one object); a COCO
        file of annotations or detections; GeoJSON points and polygons (a polygon gives its box); labels of another
        program: a `LabelStore` or its folder, a label image (path, or array of whole numbers of the image's shape),
        whose objects give their boxes; an array of boxes (n, 4) or points (n, 2); or a `PromptTable`.
    image : Image
        The image that is to be segmented, or whatever `open_image` opens.
    masks : bool
        Show the network the objects' own pixels, too, as rough masks: of labels and of GeoJSON polygons.
    coordinates : {"auto", "pixels", "map", "lonlat"}
        What GeoJSON's numbers are. "auto" is pixels where the image has no CRS; else what the file says, and
        longitude and latitude if it says nothing.
    image_id : int, optional
        Which image of a COCO file with several; by default the one of this image's file name.
    errors : {"raise", "skip"}
        What to do with a prompt that is empty, not finite or outside the image: an error names the first one; or it
        is left out and counted.

    Returns
    -------
    PromptTable
        In the order of the source.

    Raises
    ------
    PromptError
        If the source is none of these, cannot be read, or a prompt in it means nothing.
    ImageError
        If the image, or a label image, cannot be opened.

    Examples
    --------
    >>> table = read_prompts(np.array([[2, 3, 8, 9], [0, 0, 4, 20]]), np.zeros((10, 10), np.uint8))
    >>> [table.ask(i) for i in range(2)]
    [{'box': (2.0, 3.0, 8.0, 9.0)}, {'box': (0.0, 0.0, 4.0, 10.0)}]
    """
    if errors not in _ERRORS:
        raise PromptError(f"errors={errors!r}: use 'raise' or 'skip'")
    if coordinates not in COORDINATES:
        raise PromptError(f"coordinates={coordinates!r}: use one of {', '.join(COORDINATES)}")
    if isinstance(source, PromptTable):
        return source
    image = open_image(image)
    rows = _rows(source, image, coordinates, image_id)
    if masks and rows.mask is None:
        raise PromptError(f"{rows.name}: has no masks to show; give labels or GeoJSON polygons, or leave out masks")
    return _checked(rows, image.shape, errors == "skip", masks)


def _rows(source: Any, image: Any, coordinates: str, image_id: int | None) -> Rows:
    from napari_sam.io.prompts.prompt_files import rows_of_file, rows_of_labels, rows_of_store  # noqa: PLC0415 - knows Rows

    if isinstance(source, str | Path):
        return rows_of_file(source, image, coordinates, image_id)
    if hasattr(source, "rows_of") and hasattr(source, "path"):
        return rows_of_store(source, image)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return Rows(source, "the table", "row", np.arange(len(source)))
    array = source if hasattr(source, "shape") and hasattr(source, "dtype") else np.asarray(_listed(source), object)
    shape = tuple(int(n) for n in array.shape)
    if array.dtype.kind in "biu" and shape == tuple(image.shape):
        return rows_of_labels(array, image, "the label image")
    if array.dtype.kind in "biufO" and len(shape) == 2 and shape[1] in (2, 4):
        import pandas as pd  # noqa: PLC0415 - slow to import

        frame = pd.DataFrame(np.asarray(array), columns=list(POINT if shape[1] == 2 else BOX))
        return Rows(frame, _ARRAY, "row", np.arange(len(frame)))
    raise PromptError(
        f"prompts of shape {shape} and dtype {array.dtype}: give boxes (n, 4), points (n, 2), a label image of shape "
        f"{tuple(image.shape)}, a DataFrame, a LabelStore, or a file"
    )


def _listed(source: Any) -> list[Any]:
    try:
        return [list(row) for row in source]
    except TypeError:
        raise PromptError(
            f"cannot read prompts from {type(source).__name__}: give a file, a DataFrame, boxes (n, 4), points (n, 2), "
            "a label image or a LabelStore"
        ) from None


def _checked(rows: Rows, shape: tuple[int, int], skip: bool, masks: bool) -> PromptTable:
    """The prompts of a source that mean something in an image of `shape`."""
    if not len(rows.frame) and rows.word in ("line", "row") and rows.name != _ARRAY:
        raise PromptError(f"{rows.name}: the table is empty: give at least one box or point")
    frame = renamed(rows.frame, rows.name, _column)
    has_box, has_point = (set(names) <= set(frame.columns) for names in (BOX, POINT))
    if not has_box and not has_point:
        raise PromptError(
            f"{rows.name}: columns {', '.join(map(repr, list(frame.columns)[:12]))}: give y0, x0, y1, x1 or "
            "x, y, width, height (boxes), or y, x (points)"
        )
    boxes = _numbers(frame, BOX) if has_box else np.full((len(frame), 4), np.nan)
    points = _numbers(frame, POINT) if has_point else np.full((len(frame), 2), np.nan)
    labels = _numbers(frame, ("label",))[:, 0] if has_point and "label" in frame.columns else np.ones(len(frame))
    nameless = _nameless(frame) if has_point else np.zeros(len(frame), bool)
    place = _objects(frame, nameless) if has_point else np.arange(len(frame))
    with np.errstate(all="ignore"):  # numbers beyond all bounds are among what is looked for
        reasons = _row_problems(frame, boxes, points, labels, shape, place)
    reasons.insert(0, ("object", nameless, lambda i: f"object {frame['object'].iloc[i]!r}: give a number or a word"))
    bad = np.zeros(int(place.max(initial=-1)) + 1, bool)
    skipped = _refuse(rows, reasons, place, bad, skip)
    boxes = np.stack([np.clip(boxes[:, i], 0, shape[i % 2]) for i in range(4)], axis=1)
    on_object = (labels == 1).astype(np.int64)  # whatever else a label is, its row was refused or has no point
    return _gathered(rows, frame, (boxes, points, on_object, place), bad, skipped, masks)


def _numbers(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """(rows, names) of columns; not a number where there is none."""
    return np.stack([_column(frame[name]) for name in names], axis=1)


def _column(column: pd.Series) -> NDArray[np.float64]:
    """(rows,) of one column."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    plain = column.map(_plain) if column.dtype == object or column.dtype.kind == "c" else column
    found: NDArray[np.float64] = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return found


def _plain(value: Any) -> Any:
    """A cell; a number that no float can hold is infinite, and so refused as such."""
    beyond = isinstance(value, complex | np.complexfloating) or (isinstance(value, int) and abs(value) > _LARGEST)
    return np.inf if beyond else value


def _nameless(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """(rows,) whether a row's object is a list or the like, which names none."""
    if "object" not in frame.columns or frame["object"].dtype != object:
        return np.zeros(len(frame), bool)
    return np.array([not _is_name(value) for value in frame["object"]], bool)


def _is_name(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _objects(frame: pd.DataFrame, nameless: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(rows,) which prompt each row belongs to, numbered by first appearance."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    if "object" not in frame.columns:
        return np.arange(len(frame))
    codes = pd.factorize(frame["object"].mask(nameless) if nameless.any() else frame["object"], use_na_sentinel=True)[
        0
    ].astype(np.int64)
    alone = codes < 0  # no object named: a prompt of its own
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    found: NDArray[np.int64] = pd.factorize(codes)[0].astype(np.int64)
    return found


def _row_problems(
    frame: pd.DataFrame,
    boxes: NDArray[np.float64],
    points: NDArray[np.float64],
    labels: NDArray[np.float64],
    shape: tuple[int, int],
    place: NDArray[np.int64],
) -> list[tuple[str, NDArray[np.bool_], Callable[[int], str]]]:
    """Each reason to refuse a row: its name, the rows (rows,) it holds for, and what to say of one of them."""
    no_box, no_point = (np.asarray(np.isnan(part).all(axis=1), bool) for part in (boxes, points))
    (y0, x0, y1, x1), (y, x), (h, w) = boxes.T, points.T, shape
    on_object = (~no_box | (~no_point & (labels != 0))) if len(place) else no_box
    has_object = np.bincount(place, on_object)[place] > 0 if len(place) else no_box

    def box(i: int) -> str:
        return _text("box", boxes[i])

    def point(i: int) -> str:
        return _text("point", points[i])

    wrong = {
        "unreadable": np.array(frame["problem"].notna()) if "problem" in frame else np.zeros(len(frame), bool),
        "not finite": (no_box & no_point)
        | (~no_box & ~np.isfinite(boxes).all(1))
        | (~no_point & ~np.isfinite(points).all(1)),
        "empty": ~no_box & ((y1 <= y0) | (x1 <= x0)),
        "outside": (~no_box & ((y1 <= 0) | (x1 <= 0) | (y0 >= h) | (x0 >= w)))
        | (~no_point & ~((y >= -0.5) & (y <= h) & (x >= -0.5) & (x <= w))),
        "too large": ~no_box
        & ((np.minimum(y1, h) - np.maximum(y0, 0)) * (np.minimum(x1, w) - np.maximum(x0, 0)) > LARGEST_MASK_PX),
        "label": ~no_point & ~np.isin(labels, (0, 1)),
        "alone": ~no_point & ~has_object,
    }
    say = {
        "unreadable": lambda i: f"{frame['problem'].iloc[i]}; correct or remove it",
        "not finite": lambda i: f"{_cells(frame, i)}: not finite numbers; correct or remove it",
        "empty": lambda i: f"{box(i)} is empty: y1 must exceed y0 and x1 exceed x0",
        "outside": lambda i: (
            f"{point(i) if no_box[i] else box(i)} lies outside the image of shape {shape}; are its "
            "coordinates (y, x), and of this image?"
        ),
        "too large": lambda i: f"{box(i)} spans more than {LARGEST_MASK_PX} px, the largest mask there is; cut it",
        "label": lambda i: (
            f"label {labels[i]:g} of {point(i)}: 1 is on the object and 0 beside it; the column that says which "
            "object a point belongs to is called 'object'"
        ),
        "alone": lambda i: (
            "its object has background points only (label 0); add one on it"
            if "object" in frame
            else f"{point(i)} is a background point (label 0); say whose in a column 'object'"
        ),
    }
    return [(reason, where, say[reason]) for reason, where in wrong.items()]


def _refuse(
    rows: Rows,
    problems: list[tuple[str, NDArray[np.bool_], Callable[[int], str]]],
    place: NDArray[np.int64],
    bad: NDArray[np.bool_],
    skip: bool,
) -> dict[str, int]:
    """Raise for the first row with a problem, or mark its prompt in `bad`; returns how many by reason."""
    with np.errstate(invalid="ignore"):
        first = [(int(np.flatnonzero(where)[0]), say) for _, where, say in problems if where.any()]
    if first and not skip:
        i, say = min(first, key=lambda found: found[0])
        raise PromptError(f"{rows.name}: {rows.word} {rows.numbers[i]}: {say(i)}, {_SKIP}")
    skipped: Counter[str] = Counter()
    for reason, where, _ in problems:
        fresh = np.unique(place[where])
        fresh = fresh[~bad[fresh]]
        bad[fresh] = True
        skipped[reason] += len(fresh)
    return {reason: count for reason, count in skipped.items() if count}


def _gathered(
    rows: Rows,
    frame: pd.DataFrame,
    columns: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
    bad: NDArray[np.bool_],
    skipped: dict[str, int],
    masks: bool,
) -> PromptTable:
    """Rows put together to prompts, without the bad ones."""
    boxes, points, labels, place = columns
    kept = np.flatnonzero(~bad)
    head = np.full(len(bad), -1, np.int64)
    head[place[::-1]] = np.arange(len(place))[::-1]  # the first row of each prompt
    boxed = np.flatnonzero(~np.isnan(boxes[:, 0]))[::-1]
    own_box = np.full((len(bad), 4), np.nan)
    own_box[place[boxed]] = boxes[boxed]
    here = np.flatnonzero(~np.isnan(points[:, 0]) & ~bad[place]) if len(place) else np.zeros(0, np.int64)
    here = here[np.argsort(place[here], kind="stable")]
    counts = np.bincount(place[here], minlength=len(bad))[kept]
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    at = head[kept]
    score = _numbers(frame, ("score",))[at, 0] if "score" in frame.columns else np.full(len(at), np.nan)
    mask = rows.mask if masks else None
    return PromptTable(
        own_box[kept],
        points[here],
        labels[here],
        first,
        _categories(frame, at),
        score,
        rows.numbers[at],
        rows.word,
        skipped,
        None if mask is None else lambda i: mask(int(at[i])),
    )


def _categories(frame: pd.DataFrame, at: NDArray[np.int64]) -> list[str | None]:
    if "category" not in frame.columns:
        return [None] * len(at)
    column = frame["category"]
    there = column.notna().to_numpy()[at].tolist()
    values = column.astype(object).to_numpy()[at].tolist()
    return [str(v) if known else None for v, known in zip(values, there, strict=True)]


def _cells(frame: pd.DataFrame, i: int) -> str:
    """What a row says of its place."""
    shown = [name for name in (*BOX, *POINT) if name in frame.columns]
    return ", ".join(f"{name} = {frame[name].iloc[i]}" for name in shown)


def _text(what: str, values: NDArray[np.float64]) -> str:
    return f"{what} ({', '.join(f'{v:g}' for v in values)})"
