"""The demo: click nuclei of the sample image, and write labels, a table and a screenshot."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_sam import samples
from napari_sam.errors import NapariSamError
from napari_sam.widgets.launch import has_display

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

CLICKS = ((122, 182), (278, 370), (299, 269), (475, 482), (112, 233), (365, 277))
"""(y, x) on six nuclei of the sample image."""
_WINDOW_TIMEOUT_S = 120


def run_demo(out: Path, headless: bool = False) -> dict[str, object]:
    """Segment six nuclei of the sample image.

    Parameters
    ----------
    out : Path
        Folder for ``labels.tif``, ``objects.csv`` and ``screenshot.png``.
    headless : bool
        Open no window, even with a display.

    Returns
    -------
    dict
        Folder, times, and the IoU of each mask with the hand-drawn nucleus.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NapariSamError(
            f"out {out}: cannot be created: {error}", parameter="out", remedy="give another folder"
        ) from error
    return _in_window(out) if has_display() and not headless else _headless(out)


def _headless(out: Path) -> dict[str, object]:
    from napari_sam.io.labels.object_tables import object_table, overlay, render_labels, write_labels  # noqa: PLC0415
    from napari_sam.predictor import Predictor  # noqa: PLC0415

    image = samples.nuclei()
    start = time.perf_counter()
    predictor = Predictor()
    predictor.set_image(image)
    loaded = time.perf_counter()
    predictions = [predictor.predict(points=[click]) for click in CLICKS]
    end = time.perf_counter()
    labels, _ = render_labels(predictions, image.shape)
    write_labels(out / "labels.tif", labels)
    object_table(predictions).to_csv(out / "objects.csv", index=False)
    stretched = np.clip(image.astype(np.float32) * (255 / 160), 0, 255).astype(np.uint8)
    Image.fromarray(overlay(np.repeat(stretched[..., None], 3, 2), labels)).save(out / "screenshot.png")
    return {
        "mode": "headless",
        "folder": str(out),
        "IoU with the hand-drawn nuclei": _ious(labels),
        "load seconds": round(loaded - start, 2),
        "milliseconds per click": round(1e3 * (end - loaded) / len(CLICKS)),
    }


def _in_window(out: Path) -> dict[str, object]:
    import napari  # noqa: PLC0415
    from qtpy.QtWidgets import QApplication  # noqa: PLC0415

    from napari_sam.io.labels.object_tables import write_labels  # noqa: PLC0415
    from napari_sam.layers.prompt_layers import POINTS_NAME  # noqa: PLC0415
    from napari_sam.layers.sample_data import nuclei  # noqa: PLC0415
    from napari_sam.widgets.dock import SamDock  # noqa: PLC0415

    viewer = napari.Viewer(title="napari-sam-xl demo")
    data, meta, _ = nuclei()[0]
    viewer.add_image(data, **meta)
    viewer.window.resize(1400, 900)
    widget = SamDock(viewer)
    viewer.window.add_dock_widget(widget, name="SAM", area="right")

    def wait_for(ready: Callable[[], bool]) -> None:
        limit = time.monotonic() + _WINDOW_TIMEOUT_S
        while not ready():
            QApplication.processEvents()
            time.sleep(0.005)
            if time.monotonic() > limit:
                raise NapariSamError(
                    f"the demo's window did not respond within {_WINDOW_TIMEOUT_S} s", remedy="try {headless=True}"
                )

    times = []
    for i, click in enumerate(CLICKS):
        start = time.perf_counter()
        viewer.layers[POINTS_NAME].add([click])
        wait_for(lambda: widget.click.answer is not None)
        times.append(time.perf_counter() - start)
        if i + 1 < len(CLICKS):
            widget.click.accept()
    pause = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > pause)
    viewer.screenshot(str(out / "screenshot.png"), canvas_only=False, flash=False)
    widget.click.accept()
    written = viewer.layers["nuclei objects"]
    labels = np.asarray(written.data)
    write_labels(out / "labels.tif", labels)
    written.features.to_csv(out / "objects.csv", index=False)
    result = {
        "mode": "window",
        "folder": str(out),
        "IoU with the hand-drawn nuclei": _ious(labels),
        "milliseconds per click": round(1e3 * float(np.median(times))),
    }
    if sys.stdout.isatty():
        napari.run()  # the user may continue to click
    widget.shutdown()
    viewer.close()
    return result


def _ious(labels: NDArray[np.integer]) -> list[float]:
    """Return the IoU of each object with the hand-drawn nucleus at its click."""
    truth = samples.nuclei_labels()
    ious = []
    for label, (y, x) in enumerate(CLICKS, start=1):
        nucleus, mask = truth == truth[y, x], labels == label
        ious.append(round(float((nucleus & mask).sum() / (nucleus | mask).sum()), 3))
    return ious
