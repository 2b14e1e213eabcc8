"""Helpers for Qt."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import Fold, button, combo_box, refill, scrolled, single_shot


def test_buttons_leave_the_keyboard_to_the_canvas_unless_tab_is_used(qtbot):
    made = button("Start", "Find all objects", checkable=True)
    qtbot.addWidget(made)
    assert made.focusPolicy() == Qt.FocusPolicy.TabFocus
    assert made.isCheckable()


@pytest.mark.parametrize(("items", "index"), [([("b", 2), ("a", 1)], 1), ([("c", 3)], 0), ([], -1)])
def test_refilling_keeps_the_selection_if_it_is_still_there(qtbot, items, index):
    combo = combo_box("Choose", [("a", 1), ("b", 2)])
    qtbot.addWidget(combo)
    with qtbot.assertNotEmitted(combo.currentIndexChanged):
        refill(combo, items)
    assert combo.currentIndex() == index


def test_a_single_shot_fires_once_after_the_last_start(qtbot):
    parent, calls = QObject(), []
    timer = single_shot(parent, 20, lambda: calls.append(1))
    for _ in range(3):
        timer.start()
    qtbot.wait(80)
    assert calls == [1]


def test_a_fold_hides_its_content_until_it_is_opened(qtbot):
    fold = Fold("More options", QLabel("content"))
    qtbot.addWidget(fold)
    assert fold.content.isHidden()
    fold.header.click()
    assert not fold.content.isHidden()


def test_what_scrolls_is_never_cut_at_its_side_and_may_be_low(qtbot):
    content = QWidget()
    layout = QVBoxLayout(content)
    layout.addWidget(QPushButton("short"))
    for _ in range(40):
        layout.addWidget(QPushButton("line"))
    area = scrolled(content)
    qtbot.addWidget(area)
    narrow = area.minimumSizeHint()
    assert narrow.height() < content.minimumSizeHint().height()
    area.show()
    layout.addWidget(QPushButton("a button with a text that is much longer than that of the others"))
    qtbot.wait(50)
    assert area.minimumSizeHint().width() > narrow.width()
    assert area.minimumSizeHint().width() >= content.minimumSizeHint().width()
