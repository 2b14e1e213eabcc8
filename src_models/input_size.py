"""Size of the square that a network takes."""

from __future__ import annotations

from typing import Self


class InputSize(int):
    """Side of a network's square input in pixels, and how images that are not square fill it.

    Parameters
    ----------
    side : int
        The side.
    stretches : bool
        Stretch images to the square, as SAM 2 does, instead of padding them at the bottom and right, as SAM does.

    Examples
    --------
    >>> InputSize(1024, stretches=True) // 2, InputSize(1024).stretches
    (512, False)
    """

    stretches: bool

    def __new__(cls, side: int, stretches: bool = False) -> Self:  # noqa: D102
        size = super().__new__(cls, side)
        size.stretches = stretches
        return size
