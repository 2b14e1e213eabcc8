"""What the dock tells about objects on many planes."""

from __future__ import annotations

from napari_sam.widgets.stack.plane_strip import StripContent
from napari_sam.widgets.stack.stack_text import follow_hint, hand_step, running_step, summary_text, swapped_text


def test_the_summary_tells_why_an_object_ends_and_which_planes_could_not_be_read():
    content = StripContent(9, {1: 0.9, 3: 0.8}, weakest=3, notes={2: "it cannot be read", 3: "in several parts"})
    text = summary_text(content, "Object", {"forward": "it vanished"})
    assert text == ("Object on planes 1, 3 of 9 · weakest 3 (0.80). forward: it vanished; plane 2: it cannot be read")


def test_the_strip_tells_what_happened_on_a_plane():
    content = StripContent(9, {3: 0.8}, notes={2: "it cannot be read", 3: "in several parts"}, noun="frame")
    assert content.text(2) == "frame 2: it cannot be read"
    assert content.text(3) == "frame 3: score 0.80, in several parts"


def test_the_keys_are_named_for_the_axes_that_the_image_has():
    assert follow_hint(False, False) == ""
    assert "frame only" in follow_hint(False, True)
    assert "Shift+G" in follow_hint(True, True)


def test_a_saved_object_is_named_while_it_is_corrected():
    assert hand_step(StripContent(9), False, 7).startswith("Object 7:")
    assert "carried" in hand_step(StripContent(9), True, 7)


def test_several_running_objects_are_counted():
    assert running_step("frame", 3).startswith("Following 3 objects through the frames")


def test_swapped_axes_are_told_and_what_a_label_store_keeps():
    assert "volume now" in swapped_text("z", None)
    assert "keeps its axes tzyx" in swapped_text("tz", "tzyx")
    assert ["transcode" in swapped_text(axes, None) for axes in ("zt", "tz")] == [True, False]
