"""What all commands share: numbers and regions, images with their plane, the progress line, Ctrl+C."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_sam.errors import CancelledError, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_EVERY_S = 0.1
_NUMBERS = re.compile(r"-[\d.][\d.,eE+-]*")
_line: dict[str, Any] = {"open": False, "held": ""}
_BARE = r"(?<![\w./\\-]){}(?![\w./\\-])"  # a word of its own, no part of a path
_IN_COMMANDS = (  # what the library says, which option a command must have, and what the command says
    (r"--resume \(resume=True\)|resume=True(?: \(--resume\))?", "resume", "--resume"),
    (r"resume=False(?: \(--\w+\))?", "discard", "--discard"),
    (r"use LabelStore\.open, or overwrite=True", "overwrite", "use --add, or --overwrite"),
    (r"overwrite=True", "overwrite", "--overwrite"),
    (r"use LabelStore\.create", None, "see 'napari-sam everything'"),
    (r"errors=\"skip\"", "skip_bad", "--skip-bad"),
    (_BARE.format("diameter_px"), "diameter", "--diameter"),
    (r"^level(?= \S+:)", "level", "--level"),
    (_BARE.format("points_per_side"), "points_per_side", "--points-per-side"),
    (_BARE.format("pred_iou_thresh"), "pred_iou", "--pred-iou"),
    (_BARE.format("min_iou"), "pred_iou", "--pred-iou"),
    (_BARE.format("stability_score_thresh"), "stability", "--stability"),
    (_BARE.format("min_mask_region_area"), "min_area", "--min-area"),
)


def join_negative_numbers(argv: Sequence[str]) -> list[str]:
    """Arguments in which ``--point -5,3`` is ``--point=-5,3``: argparse takes what begins with a minus for an option.

    >>> join_negative_numbers(["segment", "--point", "-5,3", "--crop"])
    ['segment', '--point=-5,3', '--crop']
    """
    joined: list[str] = []
    for argument in argv:
        before = joined[-1] if joined else ""
        if _NUMBERS.fullmatch(argument) and before.startswith("--") and "=" not in before and before != "--":
            joined[-1] = f"{before}={argument}"
        else:
            joined.append(argument)
    return joined


def in_command_words(text: str, args: argparse.Namespace) -> str:
    """A message of the library in the words of a command: options instead of arguments, those that it has.

    >>> in_command_words("go on with resume=True", argparse.Namespace(resume=False))
    'go on with --resume'
    >>> in_command_words("go on with resume=True", argparse.Namespace())
    'go on with resume=True'
    """
    for pattern, option, words in _IN_COMMANDS:
        if option is None or hasattr(args, option):
            text = re.sub(pattern, words, text)
    return text


def floats(count: int) -> Callable[[str], tuple[float, ...]]:
    """A parser of `count` comma-separated numbers."""

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(v) for v in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count:
            raise argparse.ArgumentTypeError(f"{text!r} is not {count} numbers separated by commas")
        return values

    return parse


def ints(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas."""
    try:
        return tuple(int(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers separated by commas") from None


def region(text: str) -> tuple[int, ...]:
    """(y0, x0, y1, x1) of whole numbers."""
    values = ints(text)
    if len(values) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not four whole numbers separated by commas")
    return values


def add_image_options(command: argparse.ArgumentParser) -> None:
    """Add what says how an image is looked at: ``--channels`` and ``--plane``."""
    command.add_argument("--channels", type=ints, default=None, metavar="R,G,B", help="channels to look at")
    command.add_argument(
        "--plane", type=ints, default=None, metavar="T,Z", help="which plane of a stack, an index for each such axis"
    )


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add what says which network runs where: ``--model``, ``--device`` and ``--precision``."""
    command.add_argument("--model", default="default", help="name (see 'models list') or checkpoint file")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    command.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16")


def open_chosen(path: str, channels: Sequence[int] | None, plane: Sequence[int] | None) -> Any:
    """The image of a command line, at the plane that was asked for.

    Raises
    ------
    ImageError
        If it cannot be opened, or has no such plane.
    """
    from napari_sam.io.images.open_image import completed, open_image  # noqa: PLC0415 - the command line starts quickly

    image = open_image(path, channels=channels)
    if plane is None:
        return image
    sizes = [
        int(n) for axis, n in zip(image.array_axes, image.arrays[0].shape, strict=True) if axis not in "yxcs"
    ]  # as `Image.plane` counts them
    fits = len(plane) == len(sizes) and all(0 <= p < n for p, n in zip(plane, sizes, strict=True))
    if not fits:
        has = f"axes of {' x '.join(map(str, sizes))} planes" if sizes else "one plane only"
        raise ImageError(f"--plane {','.join(map(str, plane))}: {path} has {has}; give an index for each, from 0")
    return completed(image.with_plane(plane, image.selected))


class ProgressLine:
    """One line of progress on standard error, written over the last one; in a file or a pipe only the last.

    Parameters
    ----------
    what : str
        What is counted, such as "windows".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun: tuple[float, int] | None = None
        self._total, self._last, self._shown = 0, 0, 0.0
        _line["held"] = ""  # of a line before this one

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that so many are done."""
        now = time.monotonic()
        if self._begun is None or total != self._total or done < self._last:
            self._begun, self._total, self._shown = (now, done), total, 0.0
        self._last = done
        text = f"{self._what} {done}/{total}, {100 * done // max(total, 1)} %{self._pace(now, done)}{note}"
        _line["held"] = text
        if done < total and (not sys.stderr.isatty() or now - self._shown < _EVERY_S):
            return
        self._shown, _line["held"] = now, ""
        end = "\n" if done >= total else ""
        sys.stderr.write(f"\r{text:<78}{end}" if sys.stderr.isatty() else f"{text}{end}")
        sys.stderr.flush()
        _line["open"] = not end

    def _pace(self, now: float, done: int) -> str:
        """How many there are each second, and the time left."""
        begun, first = self._begun or (now, done)
        if done <= first or now <= begun:
            return ""
        rate = (done - first) / (now - begun)
        left = (self._total - done) / rate
        return f", {rate:.3g}/s" + (f", {duration(left)} left" if left > 0 else f" in {duration(now - begun)}")


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(7.6), duration(125), duration(7300)
    ('8 s', '2 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def end_line(interrupted: bool = False) -> None:
    """End a progress line that was not finished, so that what comes next stands on a line of its own.

    Parameters
    ----------
    interrupted : bool
        Say how far it came, if that was not shown: in a file, or since the last time on a terminal.
    """
    if interrupted and _line["held"]:
        sys.stderr.write(f"\r{_line['held']:<78}" if sys.stderr.isatty() else _line["held"])
        _line["open"] = True
    if _line["open"]:
        sys.stderr.write("\n")
    _line["open"], _line["held"] = False, ""


@contextmanager
def interruptible(promise: str) -> Iterator[Callable[[], bool]]:
    """Let Ctrl+C, or a scheduler's SIGTERM, stop after the step at hand; a second one stops at once.

    Parameters
    ----------
    promise : str
        What to say when it comes.

    Raises
    ------
    KeyboardInterrupt
        At the end if one came, so that the command fails and a script does not go on.
    """
    asked: list[int] = []

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(number, before[number])
        sys.stderr.write(f"\n{promise}\n")
        _line["open"] = False

    usual = threading.current_thread() is threading.main_thread()  # signals can be handled nowhere else
    before = {int(n): signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)} if usual else {}
    for number in before:
        signal.signal(number, stop)
    try:
        yield lambda: bool(asked)
    except CancelledError:
        if not asked:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
