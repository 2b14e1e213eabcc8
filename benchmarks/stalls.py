"""How long the window takes to open, and where its GUI thread stalls while a user works.

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.stalls [--quick] [--objects N] [--stacks]

A scripted user opens napari with an image, opens the dock from the Plugins menu, clicks and accepts objects, opens
every page, opens a second image, and switches between the two. A timer of the event loop beats every 5 ms; where it
comes late, a second thread notes what the GUI thread is doing (`--stacks` prints that).

Reported for each step: how long the event loop stood still at most, and the most processor time that the GUI thread
used in one stall. The difference is waiting: for the processor, for a lock, or for a disk. On a busy machine only the
second number is meaningful.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

if TYPE_CHECKING:
    from types import FrameType

    from napari.layers import Layer
    from qtpy.QtWidgets import QMenu

    from docs.scripts.shot_window import ShotWindow
    from napari_sam.widgets.dock import SamDock

MAX_STALL_MS = 100.0
_BEAT_MS, _SAMPLE_S, _FRAMES = 5, 0.01, 6
_OWN = ("napari_sam", "src_models", "napari", "vispy")


@dataclass
class Stall:
    """One time in which the event loop stood still.

    Attributes
    ----------
    step : str
        What the user did.
    wall_ms, cpu_ms : float
        Length, and processor time of the GUI thread.
    places : Counter of str
        Where the GUI thread was, by the number of samples.
    """

    step: str
    wall_ms: float
    cpu_ms: float
    places: Counter[str] = field(default_factory=Counter)


class Heartbeat:
    """A timer in the GUI thread, and a thread that looks where that thread is when the timer is late."""

    def __init__(self) -> None:
        self.step = "start"
        self.stalls: list[Stall] = []
        self._main = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._main)
        self._places: Counter[str] = Counter()
        self._last, self._last_cpu = time.perf_counter(), self._cpu()
        self._is_over = False
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(_BEAT_MS)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def begin(self, step: str) -> None:
        """Name what the user does from now on."""
        self._beat()
        self.step = step

    def close(self) -> None:
        """Stop beating."""
        self._timer.stop()
        self._is_over = True
        self._sampler.join()

    def _cpu(self) -> float:
        return time.clock_gettime(self._clock)

    def _beat(self) -> None:
        now, cpu = time.perf_counter(), self._cpu()
        wall_ms, cpu_ms = 1e3 * (now - self._last), 1e3 * (cpu - self._last_cpu)
        places, self._places = self._places, Counter()
        self._last, self._last_cpu = now, cpu
        self.stalls.append(Stall(self.step, wall_ms, cpu_ms, places))

    def _sample(self) -> None:
        while not self._is_over:
            time.sleep(_SAMPLE_S)
            if time.perf_counter() - self._last > MAX_STALL_MS / 2e3:
                frame = sys._current_frames().get(self._main)
                if frame is not None:
                    self._places[_describe(frame)] += 1


def _describe(frame: FrameType) -> str:
    """Return the innermost frames of our code and of napari."""
    frames = [x for x in traceback.extract_stack(frame) if any(f"/{name}/" in x.filename for name in _OWN)]
    return " < ".join(f"{Path(x.filename).stem}.{x.name}:{x.lineno}" for x in reversed(frames[-_FRAMES:]))


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM_DATA"] = folder
        heart = _work(options, Path(folder))
    _report(heart, options.stacks)


def _work(options: argparse.Namespace, folder: Path) -> Heartbeat:
    """Do what the scripted user does."""
    viewer = napari.Viewer()
    viewer.window.resize(1300, 900)
    for name, pixels in _images().items():
        np.save(folder / f"{name}.npy", pixels)
    first = viewer.add_image(np.load(folder / "first.npy"), name="first")
    heart = Heartbeat()
    _pause(1)
    dock = _open_dock(viewer, heart)

    from docs.scripts.shot_window import ShotWindow  # it imports the dock, whose import is measured

    window = ShotWindow(viewer=viewer, dock=dock)
    window.settle()
    heart.begin("click and accept")
    _accept_objects(window, first, 3 if options.quick else options.objects)
    for number in range(1, dock.panel.tabs.count()):
        heart.begin(f"page {dock.panel.tabs.tabText(number)}")
        window.open_page(number)
    heart.begin("page Click")
    window.open_page(0)
    heart.begin("open a second image")
    second = viewer.add_image(np.load(folder / "second.npy"), name="second")
    window.settle()
    heart.begin("click in the second image")
    _accept_objects(window, second, 2)
    for turn in range(1 if options.quick else 4):
        heart.begin(f"switch images, {turn + 1}")
        viewer.layers.selection.active = viewer.layers["first" if turn % 2 == 0 else "second"]
        window.settle()
    heart.begin("pan and zoom")
    for _ in range(3):
        _drag_view(window)
    heart.close()
    window.close()
    return heart


def _images() -> dict[str, np.ndarray]:
    """Return two images of bright round objects, 2048 x 2048."""
    ys, xs = np.mgrid[:64, :64] - 32
    tile = np.where(ys**2 + xs**2 < 20**2, 180, 20).astype(np.uint8)
    rng = np.random.default_rng(0)
    return {
        name: np.tile(tile, (32, 32)) + rng.integers(0, 20, (2048, 2048), dtype=np.uint8)
        for name in ("first", "second")
    }


def _open_dock(viewer: napari.Viewer, heart: Heartbeat) -> SamDock:
    """Open the dock from the menu; print the time until it is shown, and until it is ready."""
    actions = _actions(viewer.window.plugins_menu)
    (text,) = [t for t in actions if t.split(" (")[0] == "SAM"]
    heart.begin("open the dock")
    wall, cpu = time.perf_counter(), time.process_time()
    actions[text].trigger()
    _pause(0.05)
    _say("dock shown", wall, cpu)
    dock = next(w for w in viewer.window._qt_window.findChildren(QWidget) if type(w).__name__ == "SamDock")
    heart.begin("load the model")
    while dock.thread.busy or dock.session.predictor is None:
        _pause(0.02)
    _say("ready for a click", wall, cpu)
    return dock


def _say(what: str, wall: float, cpu: float) -> None:
    seconds = time.perf_counter() - wall
    print(f"{what}: {seconds:.2f} s, processor {time.process_time() - cpu:.2f} s")


def _actions(menu: QMenu) -> dict[str, object]:
    found: dict[str, object] = {}
    for action in menu.actions():
        if action.menu() is not None:
            action.menu().aboutToShow.emit()
            found |= _actions(action.menu())
        else:
            found[action.text().replace("&", "")] = action
    return found


def _pause(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def _accept_objects(window: ShotWindow, layer: Layer, count: int) -> None:
    """Click the middle of objects, wait for the mask, and accept it."""
    for number in range(count):
        row, column = divmod(number, 8)
        window.predict(layer, (64 * (row + 8) + 32, 64 * (column + 8) + 32))
        window.key("C")
    window.settle()


def _drag_view(window: ShotWindow) -> None:
    native, left = window.canvas.native, Qt.MouseButton.LeftButton
    window.viewer.layers.selection.active = window.viewer.layers["first"]
    middle = QPoint(native.width() // 2, native.height() // 2)
    QTest.mousePress(native, left, Qt.KeyboardModifier.NoModifier, middle)
    for step in range(10):
        QTest.mouseMove(native, middle + QPoint(8 * step, 5 * step))
        window.pause(0.03)
    QTest.mouseRelease(native, left, Qt.KeyboardModifier.NoModifier, middle)
    camera = getattr(window.viewer, "scene", window.viewer).camera
    camera.zoom *= 1.3
    window.settle()


def _report(heart: Heartbeat, has_stacks: bool) -> None:
    """Print the longest stall of each step, and where it was."""
    steps = list(dict.fromkeys(stall.step for stall in heart.stalls))
    print("| step | longest stall, ms | most processor time of the GUI thread, ms | over 100 ms of processor time |")
    print("|---|---|---|---|")
    for step in steps:
        of_step = [s for s in heart.stalls if s.step == step]
        late = [s for s in of_step if s.wall_ms > MAX_STALL_MS]
        wall_ms, cpu_ms = max(s.wall_ms for s in of_step), max(s.cpu_ms for s in of_step)
        busy = sum(s.cpu_ms > MAX_STALL_MS for s in of_step)
        print(f"| {step} | {wall_ms:.0f} | {cpu_ms:.0f} | {busy} of {len(late)} |")
        for stall in late if has_stacks else ():
            print(f"    {stall.wall_ms:.0f} ms, processor {stall.cpu_ms:.0f} ms")
            for place, samples in stall.places.most_common(5):
                print(f"        {samples:3d} {place}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few objects: does it run, not how fast")
    parser.add_argument("--objects", type=int, default=20, help="objects to click and accept (20)")
    parser.add_argument("--stacks", action="store_true", help="print where the GUI thread was")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
