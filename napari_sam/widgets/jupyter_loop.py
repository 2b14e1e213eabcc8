"""Keep a Jupyter kernel answering while a window is open.

ipykernel runs Qt's event loop between cells and leaves it when a message arrives. A message that arrives at the wrong
moment, such as while a cell handles window events itself, goes unnoticed: the next cell does not start until another
message comes. Leaving the loop a few times a second lets the kernel look for itself.
"""

from __future__ import annotations

import sys
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

INTERVAL_MS = 200
_NAME = "napari-sam keeps the kernel answering"


def keep_kernel_answering() -> QTimer | None:
    """Leave the kernel's Qt loop regularly, once per application.

    Returns
    -------
    QTimer or None
        The timer; None outside a Jupyter kernel.
    """
    application, kernel = QApplication.instance(), _kernel()
    if application is None or kernel is None:
        return None
    timer = application.findChild(QTimer, _NAME)
    if timer is None:
        timer = QTimer(application)
        timer.setObjectName(_NAME)
        timer.timeout.connect(lambda: _leave_loop(kernel))
        timer.start(INTERVAL_MS)
    return timer


def _kernel() -> Any:
    """Return the Jupyter kernel that this process is; None if it is none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None)


def _leave_loop(kernel: Any) -> None:
    """Leave Qt's loop if the kernel waits in it; the kernel looks for messages, and enters it again."""
    loop = getattr(getattr(kernel, "app", None), "qt_event_loop", None)
    if loop is not None and loop.isRunning():
        loop.quit()
