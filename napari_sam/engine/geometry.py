"""Boxes in pixels: ``(y0, x0, y1, x1)``, half-open."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """A half-open box of pixels; an ordinary tuple ``(y0, x0, y1, x1)`` with its geometry.

    Examples
    --------
    >>> Box(0, 0, 4, 6).intersection((2, 3, 10, 10))
    (2, 3, 4, 6)
    """

    y0: int
    x0: int
    y1: int
    x1: int

    def __repr__(self) -> str:
        return tuple.__repr__(self)  # messages and files show the plain numbers

    @property
    def height(self) -> int:
        """Number of rows; 0 for an empty box."""
        return max(self.y1 - self.y0, 0)

    @property
    def width(self) -> int:
        """Number of columns; 0 for an empty box."""
        return max(self.x1 - self.x0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def is_empty(self) -> bool:
        """Whether no pixel lies inside."""
        return self.y1 <= self.y0 or self.x1 <= self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, as an index."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def slices_in(self, frame: tuple[int, int, int, int]) -> tuple[slice, slice]:
        """Return the index of this box in the array of a box that contains it.

        >>> Box(12, 25, 14, 28).slices_in((10, 20, 30, 40))
        (slice(2, 4, None), slice(5, 8, None))
        """
        y0, x0 = frame[:2]
        return slice(self.y0 - y0, self.y1 - y0), slice(self.x0 - x0, self.x1 - x0)

    def intersection(self, other: tuple[int, int, int, int]) -> Box:
        """Return the common part, which may be empty."""
        y0, x0, y1, x1 = other
        return Box(max(self.y0, y0), max(self.x0, x0), min(self.y1, y1), min(self.x1, x1))

    def union(self, other: tuple[int, int, int, int]) -> Box:
        """Return the smallest box that holds both."""
        y0, x0, y1, x1 = other
        return Box(min(self.y0, y0), min(self.x0, x0), max(self.y1, y1), max(self.x1, x1))

    def overlaps(self, other: tuple[int, int, int, int]) -> bool:
        """Whether the two have a pixel in common."""
        return not self.intersection(other).is_empty

    def contains(self, other: tuple[int, int, int, int]) -> bool:
        """Whether the other box lies wholly inside."""
        y0, x0, y1, x1 = other
        return self.y0 <= y0 and self.x0 <= x0 and y1 <= self.y1 and x1 <= self.x1

    def iou(self, other: tuple[int, int, int, int]) -> float:
        """Return intersection over union; 0 if both are empty."""
        common = self.intersection(other).area
        total = self.area + Box(*other).area - common
        return common / total if total else 0.0

    def clip(self, shape: tuple[int, int]) -> Box:
        """Return the part inside an image of `shape` (height, width)."""
        return self.intersection((0, 0, shape[0], shape[1]))

    def grow(self, margin: int) -> Box:
        """Return the box with `margin` pixels more on every side."""
        return Box(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)

    def shift(self, dy: int, dx: int) -> Box:
        """Return the box moved by (dy, dx)."""
        return Box(self.y0 + dy, self.x0 + dx, self.y1 + dy, self.x1 + dx)
