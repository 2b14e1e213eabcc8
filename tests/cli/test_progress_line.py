"""The progress line, on a terminal and in a file."""

from __future__ import annotations

import io
import sys

import pytest

from napari_sam.cli.progress_line import ProgressLine, duration, end_line, interrupt_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def write_to(monkeypatch):
    """Return a function that redirects standard error, which pytest resets after each fixture."""

    def redirect(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return redirect


@pytest.fixture
def clock():
    """A clock that advances by 10 s at every look."""
    times = iter(range(0, 1000, 10))
    return lambda: float(next(times))


def test_a_terminal_shows_rate_and_time_left(write_to, clock):
    terminal = write_to(Terminal())
    line = ProgressLine("tile", clock)
    line(0, 100)
    line(20, 100)
    assert terminal.getvalue().split("\r")[-1].strip() == "tile 20/100, 20 %, 2/s, 40 s left"
    end_line()
    assert terminal.getvalue().endswith("\n")


def test_a_file_gets_the_last_state_only(write_to, clock):
    file = write_to(io.StringIO())
    line = ProgressLine("tile", clock)
    for done in range(0, 101, 25):
        line(done, 100)
    assert file.getvalue() == "tile 100/100, 100 %, 2.5/s in 40 s\n"


def test_a_terminal_is_written_ten_times_a_second_at_most(write_to):
    terminal = write_to(Terminal())
    line = ProgressLine("tile", lambda: 5.0)
    for done in range(50):
        line(done, 100)
    assert terminal.getvalue().count("tile") == 1


def test_an_interrupted_run_writes_its_pending_progress(write_to, clock):
    file = write_to(io.StringIO())
    ProgressLine("tile", clock)(3, 10)
    end_line(interrupted=True)
    assert file.getvalue() == "tile 3/10, 30 %\n"


def test_a_finished_run_drops_pending_progress(write_to, clock):
    file = write_to(io.StringIO())
    ProgressLine("tile", clock)(3, 10)
    end_line()
    assert file.getvalue() == ""


def test_a_message_starts_on_its_own_line(write_to, clock):
    terminal = write_to(Terminal())
    ProgressLine("tile", clock)(3, 10)
    interrupt_line("stopping")
    end_line()
    assert terminal.getvalue().endswith("\nstopping\n")


def test_another_total_restarts_the_clock(write_to, clock):
    terminal = write_to(Terminal())
    line = ProgressLine("tile", clock)
    line(50, 100)
    line(20, 200)
    assert terminal.getvalue().split("\r")[-1].strip() == "tile 20/200, 10 %"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7300, "2 h 1 min")]
)
def test_durations_have_at_most_two_units(seconds, text):
    assert duration(seconds) == text
