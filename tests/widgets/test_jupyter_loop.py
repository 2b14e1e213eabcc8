"""A Jupyter kernel that has a window goes on answering."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QEventLoop, QTimer

from napari_sam.widgets.jupyter_loop import keep_kernel_answering


@pytest.fixture
def kernel(qapp, monkeypatch):
    """A kernel with a Qt loop, as ipykernel makes it for ``%gui qt``."""
    made = SimpleNamespace(app=SimpleNamespace(qt_event_loop=QEventLoop(qapp)))
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=made))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    yield made
    timer = keep_kernel_answering()
    timer.stop()
    timer.setParent(None)


def test_the_loop_of_the_kernel_is_left_so_that_it_can_look_for_messages(kernel):
    timer = keep_kernel_answering()
    assert keep_kernel_answering() is timer  # one, however many windows are opened
    gave_up = []
    QTimer.singleShot(20_000, lambda: gave_up.append(True) or kernel.app.qt_event_loop.quit())
    for _ in range(2):  # the kernel enters it again
        kernel.app.qt_event_loop.exec()
    assert not gave_up


def test_a_kernel_without_a_qt_loop_is_left_alone(kernel, qtbot):
    timer = keep_kernel_answering()
    kernel.app = SimpleNamespace()
    qtbot.waitSignal(timer.timeout, timeout=20_000).wait()


@pytest.mark.parametrize("ipython", [None, SimpleNamespace(get_ipython=lambda: None)], ids=["script", "imported"])
def test_a_script_gets_no_timer(qapp, monkeypatch, ipython):
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert keep_kernel_answering() is None
