"""Windows that cover a region, each made when it is asked for: a huge image has millions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from napari_sam.engine.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    Span = tuple[int, int]


class WindowGrid(Sequence[Window]):
    """Windows of a grid, row by row.

    Parameters
    ----------
    rows, cols : sequence of (int, int)
        Start and stop of the windows along y and x, level-0 pixels, all distinct.
    img_size : int
        Side of the network's input.
    """

    def __init__(self, rows: Sequence[Span], cols: Sequence[Span], img_size: int) -> None:
        self._rows, self._cols, self._img_size = rows, cols, img_size

    def __len__(self) -> int:
        return len(self._rows) * len(self._cols)

    @overload
    def __getitem__(self, index: int) -> Window: ...

    @overload
    def __getitem__(self, index: slice) -> list[Window]: ...

    def __getitem__(self, index: int | slice) -> Window | list[Window]:
        if isinstance(index, slice):
            return [self._window(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return self._window(index % len(self))

    def __contains__(self, window: object) -> bool:
        if not isinstance(window, Window) or window.img_size != self._img_size:
            return False
        y0, x0, y1, x1 = window.bbox
        return (y0, y1) in self._rows and (x0, x1) in self._cols

    def sides(self) -> set[int]:
        """Return the long sides of the windows."""
        heights, widths = ({stop - start for start, stop in spans} for spans in (self._rows, self._cols))
        return {max(height, width) for height in heights for width in widths}

    def _window(self, index: int) -> Window:
        row, col = divmod(index, len(self._cols))
        (y0, y1), (x0, x1) = self._rows[row], self._cols[col]
        return Window((y0, x0, y1, x1), self._img_size)


class WindowPlan:
    """Windows of several grids, without repetition.

    Parameters
    ----------
    grids : sequence of WindowGrid
        The grids; of equal ones, which show the whole image, the first counts.
    """

    def __init__(self, grids: Sequence[WindowGrid]) -> None:
        self._grids: list[WindowGrid] = []
        for grid in grids:
            if not (len(grid) == 1 and any(grid[0] in earlier for earlier in self._grids)):
                self._grids.append(grid)

    def __len__(self) -> int:
        return sum(len(grid) for grid in self._grids)

    def __iter__(self) -> Iterator[Window]:
        for grid in self._grids:
            yield from grid

    def sides(self) -> tuple[int, ...]:
        """Return the long sides of the windows, finest first."""
        return tuple(sorted({side for grid in self._grids for side in grid.sides()}))
