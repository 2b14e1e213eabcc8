"""Messages are shown in full; notes go by themselves, errors stay, and details can be copied."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QApplication

from napari_sam.errors import ImageError
from napari_sam.widgets.message_line import MessageLine
from napari_sam.widgets.notifier import DockNotifier
from tests.widgets.conftest import RecordingNotifier


@pytest.fixture
def line(qtbot):
    made = MessageLine()
    qtbot.addWidget(made)
    return made


def test_an_error_stays_until_it_is_closed(line):
    line.error("no such file; check the path")
    assert not line.isHidden()
    assert not line._hide_soon.isActive()
    line.dismiss.click()
    assert line.isHidden()
    assert line.label.text() == ""


def test_a_note_goes_by_itself_and_an_error_after_it_stays(line):
    line.note("undone")
    assert line._hide_soon.isActive()
    line.error("failed")
    assert not line._hide_soon.isActive()


def test_details_of_an_internal_error_can_be_copied(line):
    recorder = RecordingNotifier()
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as error:
        DockNotifier(recorder, line).failure(error)
    assert recorder.messages == ["Internal error: ZeroDivisionError: by zero"]
    line.copy.click()
    text = QApplication.clipboard().text()
    assert text.startswith(recorder.messages[0])
    assert "test_message_line.py" in text


def test_an_error_that_the_user_can_mend_has_no_details(line):
    recorder = RecordingNotifier()
    DockNotifier(recorder, line).failure(ImageError("no image", remedy="open one"))
    assert recorder.messages == ["no image; open one"] == [line.label.text()]
    assert line.copy.isHidden()
