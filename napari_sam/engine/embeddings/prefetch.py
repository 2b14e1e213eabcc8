"""Embed the windows in view while the user does not click, nearest to the cursor first."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.embeddings.precompute import grid_windows
from napari_sam.engine.windows import Hints, Window, click_window
from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.engine.embeddings.embedder import EmbedderHolder

_log = logging.getLogger(__name__)
MAX_PREFETCHED = 16
"""Largest number of windows that are prefetched for a view."""


def windows_in_view(
    view_bbox: tuple[float, float, float, float],
    cursor: tuple[float, float] | None,
    image_shape: tuple[int, int],
    img_size: int,
    hints: Hints | None = None,
    limit: int = MAX_PREFETCHED,
) -> list[Window]:
    """Return the windows that clicks in the view would need, nearest to the cursor first.

    Parameters
    ----------
    view_bbox : (float, float, float, float)
        (y0, x0, y1, x1) of the visible region, level-0 pixels; may reach beyond the image.
    cursor : (float, float) or None
        (y, x), level-0 pixels; the middle of the view if None.
    image_shape : (int, int)
        Height and width of level 0.
    img_size : int
        Side of the network's input.
    hints : Hints, optional
        As for a click.
    limit : int
        Largest number of windows.

    Returns
    -------
    list of Window
        The first one answers a click at the cursor; empty if the image is not in view.

    Examples
    --------
    >>> [w.bbox for w in windows_in_view((0, 0, 600, 600), (520, 90), (4000, 4000), 512, limit=2)]
    [(256, 0, 768, 512), (0, 0, 512, 512)]
    """
    low, high = np.array(view_bbox[:2], float), np.array(view_bbox[2:], float)
    low, high = np.maximum(low, 0.0), np.minimum(high, np.array(image_shape, float))
    if not (low < high).all() or limit < 1:  # also for a view that is not finite
        return []
    centre = np.clip((low + high) / 2 if cursor is None else np.array(cursor, float), low, np.maximum(low, high - 1))
    if not np.isfinite(centre).all():
        return []
    first = click_window((float(centre[0]), float(centre[1])), image_shape, img_size, hints or Hints())
    side = max(first.shape)
    reach = side * (math.ceil(math.sqrt(limit)) / 2 + 1)  # windows farther away would not be among the nearest
    y0, x0 = (float(v) for v in np.maximum(low, centre - reach))
    y1, x1 = (float(v) for v in np.minimum(high, centre + reach))
    windows = grid_windows((y0, x0, y1, x1), side, image_shape, img_size)

    def distance(window: Window) -> float:
        y0, x0, y1, x1 = window.bbox
        return math.hypot((y0 + y1) / 2 - centre[0], (x0 + x1) / 2 - centre[1])

    return list(dict.fromkeys([first, *sorted(windows, key=distance)]))[:limit]


class Prefetcher:
    """A thread that embeds the windows in view.

    Thread-safe and independent of any GUI. A prediction on the same predictor has priority: it waits for the window
    that is being encoded, if there is one, never for the next.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor; call `update` or `clear` when its image changes.
    limit : int
        Largest number of windows of a view.
    delay_s : float
        Time without a change of the view after which embedding starts.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_sam import Predictor
    >>> predictor = Predictor(device="cpu")
    >>> predictor.set_image(np.zeros((64, 64), np.uint8))
    >>> prefetcher = Prefetcher(predictor, delay_s=0)
    >>> prefetcher.update((0, 0, 64, 64), (3, 5))
    >>> prefetcher.wait_idle(), predictor.is_embedded(predictor.window_for(points=[(9, 9)]))
    (True, True)
    >>> prefetcher.close()
    """

    def __init__(self, predictor: EmbedderHolder, limit: int = MAX_PREFETCHED, delay_s: float = 0.15) -> None:
        self.predictor = predictor
        self.limit, self.delay_s = limit, delay_s
        self._state = threading.Condition()
        self._plan: list[Window] = []
        self._plan_number = 0  # work for an older plan is outdated
        self._started_plan = 0  # the last plan whose delay has passed
        self._busy = self._closed = False
        self._thread: threading.Thread | None = None

    def update(
        self,
        view: tuple[float, float, float, float],
        cursor: tuple[float, float] | None = None,
        hints: Hints | None = None,
    ) -> None:
        """Replace the plan after the view or the cursor moved; returns at once.

        Parameters
        ----------
        view, cursor, hints
            As in `windows_in_view`.
        """
        embedder = self.predictor.embedder
        self._replace(windows_in_view(view, cursor, embedder.image.shape, embedder.img_size, hints, self.limit))

    def clear(self) -> None:
        """Drop the plan; a window that is being encoded is finished."""
        self._replace([])

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Start no window inside the context: a prediction in it has all cores for its decoding."""
        with self.predictor.embedder.priority_lock.pause_background():
            yield

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until the plan is done; return False after `timeout_s`."""
        with self._state:
            return self._state.wait_for(lambda: not self._plan and not self._busy, timeout_s)

    def close(self) -> None:
        """Stop the thread and wait for it."""
        with self._state:
            self._closed = True
        self._replace([])
        if self._thread is not None:
            self._thread.join()

    def _replace(self, plan: list[Window]) -> None:
        with self._state:
            if plan == self._plan and plan:
                return
            self._plan = [] if self._closed else plan
            self._plan_number += 1
            if self._plan and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
                self._thread.start()
            self._state.notify_all()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._embed(*job)
            with self._state:
                self._busy = False
                if self._plan_number == job[1]:
                    self._plan = self._plan[1:]
                self._state.notify_all()

    def _next(self) -> tuple[Window, int] | None:
        """Wait for a window to embed and for the delay; return None once closed."""
        with self._state:
            while True:
                self._state.wait_for(lambda: bool(self._plan) or self._closed)
                if self._closed:
                    return None
                number = self._plan_number
                if number == self._started_plan or not self._changes_within_delay(number):
                    self._started_plan, self._busy = number, True
                    return self._plan[0], number

    def _changes_within_delay(self, number: int) -> bool:
        """Wait for another plan, at most for the delay; the caller holds the state's lock."""
        return self._state.wait_for(lambda: self._plan_number != number, self.delay_s)

    def _embed(self, window: Window, number: int) -> None:
        try:
            self.predictor.embedder.embed(window, lambda: self._plan_number != number, background=True)
        except (NapariSamError, OSError) as error:  # cancelled, or unreadable pixels: a click reports them
            _log.debug("%s: not prefetched: %s", window, error)
        except RuntimeError as error:  # for example, no memory left on the device
            _log.warning("prefetching stops: %s", error)
            with self._state:
                if self._plan_number == number:
                    self._plan = self._plan[:1]
