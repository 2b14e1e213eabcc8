"""Encode what is in view while nobody clicks, nearest to the cursor first."""

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
MOST_WINDOWS = 16
"""A view is prefetched at most so far."""


def windows_in_view(
    view_bbox: tuple[float, float, float, float],
    cursor: tuple[float, float] | None,
    image_shape: tuple[int, int],
    img_size: int,
    hints: Hints | None = None,
    limit: int = MOST_WINDOWS,
) -> list[Window]:
    """The windows that clicks in the view would ask for, nearest to the cursor first.

    Parameters
    ----------
    view_bbox : (float, float, float, float)
        (y0, x0, y1, x1) of what the viewer shows, level-0 pixels; may reach beyond the image.
    cursor : (float, float) or None
        (y, x), level-0 pixels; the middle of the view if None.
    image_shape : (int, int)
        Height and width of level 0.
    img_size : int
        Side of the network's input.
    hints : Hints, optional
        As a click would be given.
    limit : int
        Return no more than these.

    Returns
    -------
    list of Window
        The first one answers a click at the cursor; empty if the view shows nothing of the image.

    Examples
    --------
    >>> [w.bbox for w in windows_in_view((0, 0, 600, 600), (520, 90), (4000, 4000), 512, limit=2)]
    [(256, 0, 768, 512), (0, 0, 512, 512)]
    """
    low, high = np.array(view_bbox[:2], float), np.array(view_bbox[2:], float)
    low, high = np.maximum(low, 0.0), np.minimum(high, np.array(image_shape, float))
    if not (low < high).all() or limit < 1:  # an undefined view, too
        return []
    at = np.clip((low + high) / 2 if cursor is None else np.array(cursor, float), low, np.maximum(low, high - 1))
    if not np.isfinite(at).all():
        return []
    first = click_window((float(at[0]), float(at[1])), image_shape, img_size, hints or Hints())
    side = max(first.shape)
    reach = side * (math.ceil(math.sqrt(limit)) / 2 + 1)  # what is farther away would not be among the nearest
    y0, x0 = (float(v) for v in np.maximum(low, at - reach))
    y1, x1 = (float(v) for v in np.minimum(high, at + reach))
    found = grid_windows((y0, x0, y1, x1), side, image_shape, img_size)

    def distance(window: Window) -> float:
        a, b, c, d = window.bbox
        return math.hypot((a + c) / 2 - at[0], (b + d) / 2 - at[1])

    return list(dict.fromkeys([first, *sorted(found, key=distance)]))[:limit]


class Prefetcher:
    """A thread that embeds what is in view.

    Thread-safe, and free of any GUI. A prediction on the same predictor comes first: it waits for the window that
    is being encoded, if there is one, never for the next.

    Parameters
    ----------
    predictor : EmbedderHolder
        Its image may change; call `update` or `clear` then.
    limit : int
        Windows of a view, at most.
    delay_s : float
        The view must rest so long before work begins.

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

    def __init__(self, predictor: EmbedderHolder, limit: int = MOST_WINDOWS, delay_s: float = 0.15) -> None:
        self.predictor = predictor
        self.limit, self.delay_s = limit, delay_s
        self._state = threading.Condition()
        self._plan: list[Window] = []
        self._turn = 0  # counts plans: work for an older one is not wanted any more
        self._rested = 0  # the last plan whose view rested
        self._busy = self._closed = False
        self._thread: threading.Thread | None = None

    def update(
        self,
        view: tuple[float, float, float, float],
        cursor: tuple[float, float] | None = None,
        hints: Hints | None = None,
    ) -> None:
        """Replace the plan: the view or the cursor moved. Returns at once.

        Parameters
        ----------
        view, cursor, hints
            As in `windows_in_view`.
        """
        embedder = self.predictor.embedder
        self._replace(windows_in_view(view, cursor, embedder.image.shape, embedder.img_size, hints, self.limit))

    def clear(self) -> None:
        """Forget the plan; a window that is being encoded is finished."""
        self._replace([])

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Begin no window in here: wrap a prediction in it, so that its decoding has all cores for itself."""
        with self.predictor.embedder.priority_lock.pause_background():
            yield

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until the plan is done; False if it is not by then."""
        with self._state:
            return self._state.wait_for(lambda: not self._plan and not self._busy, timeout_s)

    def close(self) -> None:
        """Stop, and wait for the thread."""
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
            self._turn += 1
            if self._plan and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
                self._thread.start()
            self._state.notify_all()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._embed(*job)
            with self._state:
                self._busy = False
                if self._turn == job[1]:
                    self._plan = self._plan[1:]
                self._state.notify_all()

    def _next(self) -> tuple[Window, int] | None:
        """Wait for a window to embed, and for the view to rest; None once closed."""
        with self._state:
            while True:
                self._state.wait_for(lambda: bool(self._plan) or self._closed)
                if self._closed:
                    return None
                turn = self._turn
                if turn == self._rested or not self._state.wait_for(lambda: self._turn != turn, self.delay_s):  # noqa: B023
                    self._rested, self._busy = turn, True
                    return self._plan[0], turn

    def _embed(self, window: Window, turn: int) -> None:
        try:
            self.predictor.embedder.embed(window, lambda: self._turn != turn, background=True)
        except (NapariSamError, OSError) as error:  # cancelled, or a place that cannot be read: a click will say so
            _log.debug("%s: not prefetched: %s", window, error)
        except RuntimeError as error:  # no memory left on the device, for example
            _log.warning("prefetching stops: %s", error)
            with self._state:
                if self._turn == turn:
                    self._plan = self._plan[:1]
