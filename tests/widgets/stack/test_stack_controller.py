"""Following an object through a stack: preview, correction, saving."""

from __future__ import annotations

from tests.widgets.stack.conftest import click


def test_a_click_is_previewed_on_the_neighbouring_planes(stack, qtbot, follow_engine):
    click(stack, qtbot, 4, 5, 5)
    qtbot.waitUntil(lambda: len(follow_engine.requests) == 1)
    assert follow_engine.requests[0].planes == range(2, 7)
    stack.viewer.dims.set_point(0, 5)
    qtbot.waitUntil(lambda: stack.click.prompts.preview.data.any())
    assert stack.click.answer is None  # a prompt belongs to its plane
    assert sorted(stack.panel.click.stack.strip.content.scores) == [2, 3, 4, 5, 6]


def test_an_object_is_followed_while_the_user_clicks_the_next(stack, qtbot, follow_engine):
    stack.panel.click.stack.neighbours.setChecked(False)
    click(stack, qtbot, 4, 5, 5)
    follow_engine.may_go.clear()
    stack.panel.click.stack.through_stack.click()
    assert stack.click.prompts.is_empty
    assert "Meanwhile" in stack.panel.next_step.text()
    click(stack, qtbot, 4, 30, 30)
    assert len(stack.click.stack.following.running) == 1
    follow_engine.may_go.set()
    qtbot.waitUntil(lambda: not stack.click.stack.following.running)
    assert stack.click.stack.in_hand is None  # another object is being clicked
    stack.click.stack.take_next()
    assert stack.click.stack.in_hand is not None
