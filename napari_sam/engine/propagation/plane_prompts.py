"""Prompts on the planes of a stack: checked once, one set of prompts for each plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.prompts import MaskPrompt, parse_prompt
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

PROMPT_KEYS = ("points", "point_labels", "box", "masks")


@dataclass(frozen=True)
class PlanePrompt:
    """The prompts of one object on one plane.

    Attributes
    ----------
    points : tuple of (float, float)
        (y, x), level-0 pixels.
    point_labels : tuple of int
        1 for foreground, 0 for background.
    box : (float, float, float, float) or None
        (y0, x0, y1, x1), level-0 pixels.
    mask : MaskPrompt or None
        A mask; without points and box it is the answer on this plane, else the mask to correct.
    """

    points: tuple[tuple[float, float], ...] = ()
    point_labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: MaskPrompt | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the mask is taken as it is."""
        return self.mask is not None and self.box is None and not self.points

    def as_keywords(self) -> dict[str, Any]:
        """Return the prompts as keywords of `WindowPredictor.predict_many`."""
        given: dict[str, Any] = {"box": self.box, "mask": self.mask}
        if self.points:
            given |= {"points": self.points, "point_labels": self.point_labels}
        return {name: value for name, value in given.items() if value is not None}

    def extended(self, added: PlanePrompt) -> PlanePrompt:
        """Return these prompts with more points; a box or mask replaces the earlier one."""
        return PlanePrompt(
            self.points + added.points,
            self.point_labels + added.point_labels,
            added.box or self.box,
            added.mask or self.mask,
        )


def parse_plane_prompts(
    shape: tuple[int, int],
    count: int,
    current: int,
    given: Mapping[str, Any],
    masks: Mapping[int, MaskPrompt] | None = None,
) -> dict[int, PlanePrompt]:
    """Check the prompts of one object and sort them by plane.

    Parameters
    ----------
    shape : (int, int)
        Height and width of a plane, level-0 pixels.
    count : int
        Number of planes.
    current : int
        Plane of prompts that do not name one.
    given : mapping
        Some of ``points`` (P, 3) as (plane, y, x), ``point_labels`` (P,), ``box`` (plane, y0, x0, y1, x1), or several
        such boxes, and ``masks``, a mapping of planes to `MaskPrompt`, `Prediction`, (mask, box) or a mask of the
        whole plane. Points and boxes without a plane belong to the current one.
    masks : mapping of int to MaskPrompt, optional
        The object's masks, if it is known: on their planes, background points alone are a prompt, too.

    Raises
    ------
    PromptError
        If there is no prompt, or one is not finite, empty, outside its plane, or on no plane of the stack.
    """
    unknown = sorted(set(given) - set(PROMPT_KEYS))
    if unknown:
        raise PromptError(f"prompt has the key {unknown[0]!r}", remedy="use points, point_labels, box or masks")
    prompts: dict[int, PlanePrompt] = {}

    def add(plane: int, prompt: PlanePrompt) -> None:
        _check_plane(plane, count)
        prompts[plane] = prompts.get(plane, PlanePrompt()).extended(prompt)

    for plane, point, label in _points(given.get("points"), given.get("point_labels"), current):
        add(plane, PlanePrompt(points=(point,), point_labels=(label,)))
    for plane, box in _boxes(given.get("box"), current):
        add(plane, PlanePrompt(box=box))
    for plane, mask in (given.get("masks") or {}).items():
        add(int(plane), PlanePrompt(mask=as_mask_prompt(mask, shape)))
    if not prompts:
        raise PromptError("the prompt is empty", remedy="give at least one point, a box or a mask")
    for plane, prompt in prompts.items():
        known = None if masks is None else masks.get(plane)
        try:
            parse_prompt(shape, **replace(prompt, mask=prompt.mask or known).as_keywords())
        except PromptError as error:
            message = f"plane {plane}: {error.message}"
            raise PromptError(message, parameter=error.parameter, remedy=error.remedy) from None
    return dict(sorted(prompts.items()))


def as_mask_prompt(mask: Any, shape: tuple[int, int]) -> MaskPrompt:
    """Return a mask, however it is given, as a `MaskPrompt`.

    Parameters
    ----------
    mask : MaskPrompt, Prediction, (ndarray, box) or ndarray
        The last is a mask of the whole plane.
    shape : (int, int)
        Height and width of a plane.

    Raises
    ------
    PromptError
        If it is empty, or not of the shape of its box.
    """
    if isinstance(mask, MaskPrompt):
        pixels, box = mask.mask, mask.bbox
    elif hasattr(mask, "low_res_logits"):
        pixels, box = mask.mask, mask.bbox
    elif isinstance(mask, tuple) and len(mask) == 2:
        pixels, box = mask
    else:
        pixels, box = mask, (0, 0, *shape)
    inside = np.asarray(pixels) != 0
    box = Box(*(int(n) for n in box))
    if inside.shape != box.shape or not Box(0, 0, *shape).contains(box):
        raise PromptError(
            f"mask of shape {inside.shape} in {box} does not fit planes of shape {shape}",
            parameter="masks",
            remedy="give a mask of the whole plane, a Prediction, or (mask, box)",
        )
    if not inside.any():
        raise PromptError(f"mask in {box} is empty", parameter="masks", remedy="mark at least one pixel")
    return MaskPrompt(inside, box)


def _check_plane(plane: int, count: int) -> None:
    if not 0 <= plane < count:
        raise PromptError(
            f"plane {plane} does not exist; the stack has planes 0 to {count - 1}", remedy="prompt one of them"
        )


def _rows(values: ArrayLike, name: str, widths: tuple[int, int], form: str) -> NDArray[np.float64]:
    """Return rows of finite numbers, of one of two widths."""
    try:
        rows = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{name} {values!r} are not numbers", parameter=name, remedy=f"give {form}") from error
    if rows.ndim == 1 and rows.size in widths and name == "box":
        rows = rows[None]
    if rows.size == 0:
        return np.zeros((0, widths[1]))
    if rows.ndim != 2 or rows.shape[1] not in widths or not np.isfinite(rows).all():
        raise PromptError(
            f"{name} has the shape {rows.shape}, or values that are not finite", parameter=name, remedy=f"give {form}"
        )
    return rows


def _whole(number: float, name: str) -> int:
    if number != round(number):
        raise PromptError(f"{name} names plane {number:g}", parameter=name, remedy="give whole numbers for planes")
    return int(number)


def _points(
    points: ArrayLike | None, labels: Sequence[int] | None, current: int
) -> list[tuple[int, tuple[float, float], int]]:
    """Return plane, (y, x) and label of each point."""
    rows = _rows([] if points is None else points, "points", (2, 3), "a list of (plane, y, x)")
    values = [1] * len(rows) if labels is None else list(np.asarray(labels).ravel().tolist())
    if len(values) != len(rows) or any(value not in (0, 1) for value in values):
        raise PromptError(
            f"there are {len(rows)} points but the point labels {values}",
            parameter="point_labels",
            remedy="give 1 for foreground or 0 for background, for each point",
        )
    return [
        (current if len(row) == 2 else _whole(row[0], "points"), (float(row[-2]), float(row[-1])), int(value))
        for row, value in zip(rows, values, strict=True)
    ]


def _boxes(box: ArrayLike | None, current: int) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Return plane and (y0, x0, y1, x1) of each box."""
    if box is None:
        return []
    rows = _rows(box, "box", (4, 5), "(plane, y0, x0, y1, x1)")
    return [
        (current if len(row) == 4 else _whole(row[0], "box"), (row[-4], row[-3], row[-2], row[-1]))
        for row in rows.tolist()
    ]


def corrected_prompt(earlier: PlanePrompt | None, mask: MaskPrompt | None, added: PlanePrompt) -> PlanePrompt:
    """Return the prompt of a plane with a correction.

    Parameters
    ----------
    earlier : PlanePrompt or None
        Prompt that the object had there.
    mask : MaskPrompt or None
        The object's mask there, which points correct; a new box or mask replaces it.
    added : PlanePrompt
        The correction.
    """
    if added.mask is not None:
        return added
    base = PlanePrompt() if earlier is None else earlier
    if added.box is not None:
        return replace(base.extended(added), mask=None)
    return replace(base.extended(added), mask=mask)
