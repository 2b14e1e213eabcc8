"""Which frames condition another one, and which are forgotten."""

from __future__ import annotations

import torch

from src_models.video.object_memory import FrameMemory, ObjectMemory


def _memory(name: int) -> FrameMemory:
    empty = torch.zeros(0)
    return FrameMemory(empty, empty, empty, torch.tensor([float(name)]))


def _tracked(*frames: int, prompted: tuple[int, ...] = (), history: int = 100) -> ObjectMemory:
    memory = ObjectMemory(history)
    for frame in prompted:
        memory.prompt(frame, _memory(frame))
    for frame in frames:
        memory.track(frame, _memory(frame))
    return memory


def _frames(memory: ObjectMemory, *arguments: int, reverse: bool = False) -> list[tuple[int, int]]:
    frame, limit = (*arguments, 100)[:2]
    return [(index, int(m.pointer)) for index, m in memory.frames(frame, reverse, limit)]


def test_prompted_frames_share_a_position_and_the_last_six_have_their_own():
    memory = _tracked(*range(1, 12), prompted=(0, 20))
    assert _frames(memory, 12) == [(6, 0), (6, 20), (5, 6), (4, 7), (3, 8), (2, 9), (1, 10), (0, 11)]


def test_backwards_the_following_frames_count():
    memory = _tracked(9, 8, prompted=(10,))
    assert _frames(memory, 7, reverse=True) == [(6, 10), (1, 9), (0, 8)]


def test_only_the_nearest_prompted_frames_count_beyond_the_limit():
    assert _frames(_tracked(prompted=(0, 30, 50, 90)), 45, 2) == [(6, 30), (6, 50)]


def test_pointers_of_prompted_frames_count_in_the_past_only():
    memory = _tracked(3, 4, prompted=(2, 9))
    pointers = memory.pointers(5, False, 100, 50)
    assert [(distance, int(p)) for distance, p in pointers] == [(3, 2), (1, 4), (2, 3)]
    backwards = memory.pointers(5, True, 100, 50)
    assert [(distance, int(p)) for distance, p in backwards] == [(4, 9)]


def test_pointers_reach_fifteen_frames_back_and_fewer_in_a_short_video():
    memory = _tracked(*range(30), prompted=(40,))
    assert [d for d, _ in memory.pointers(30, False, 100, 50)] == list(range(1, 16))
    assert [d for d, _ in memory.pointers(30, False, 100, 5)] == [1, 2, 3, 4]


def test_the_earliest_tracked_frames_are_forgotten_and_prompted_ones_kept():
    memory = _tracked(*range(1, 40), prompted=(0,), history=16)
    assert list(memory.tracked) == list(range(24, 40))
    memory.track(24, _memory(24))  # passed again: now the latest
    memory.track(50, _memory(50))
    assert 24 in memory.tracked
    assert 25 not in memory.tracked
    assert list(memory.prompted) == [0]


def test_a_prompt_replaces_what_was_tracked_on_its_frame():
    memory = _tracked(1, 2, prompted=(0,))
    memory.prompt(2, _memory(7))
    assert 2 not in memory.tracked
    latest = memory.latest(2)
    assert latest is not None
    assert int(latest.pointer) == 7
    assert memory.latest(5) is None


def test_the_direction_of_the_last_pass_is_remembered():
    memory = _tracked(prompted=(0,))
    assert memory.passed(0) is None
    memory.mark(0, True)
    assert memory.passed(0) is True
