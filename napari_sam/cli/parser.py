"""The command ``napari-sam``: all commands, their results and exit statuses.

The exit status is 0 for success, 2 for bad input (one line on standard error) and 1 for an internal error.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from napari_sam import __version__
from napari_sam.cli.command import command_words
from napari_sam.cli.commands.demo_command import DEMO
from napari_sam.cli.commands.everything_command import EVERYTHING
from napari_sam.cli.commands.export_command import EXPORT
from napari_sam.cli.commands.find_commands import CONCEPT, FIND
from napari_sam.cli.commands.image_commands import OVERVIEW, TRANSCODE
from napari_sam.cli.commands.import_command import IMPORT
from napari_sam.cli.commands.info_command import INFO
from napari_sam.cli.commands.measure_command import MEASURE
from napari_sam.cli.commands.models_command import MODELS
from napari_sam.cli.commands.precompute_command import PRECOMPUTE
from napari_sam.cli.commands.repair_command import REPAIR
from napari_sam.cli.commands.segment_command import SEGMENT
from napari_sam.cli.commands.soup_command import SOUP
from napari_sam.cli.commands.track_command import TRACK
from napari_sam.cli.commands.training_commands import CALIBRATE, PRETRAIN, TRAIN
from napari_sam.cli.evaluate_commands.evaluate_command import EVALUATE
from napari_sam.cli.options import join_negative_numbers
from napari_sam.cli.progress_line import end_line
from napari_sam.cli.project_commands.project_command import PROJECT
from napari_sam.errors import NapariSamError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

COMMANDS = (
    SEGMENT,
    INFO,
    MODELS,
    TRANSCODE,
    OVERVIEW,
    EVALUATE,
    EVERYTHING,
    TRACK,
    CONCEPT,
    FIND,
    EXPORT,
    REPAIR,
    IMPORT,
    MEASURE,
    PRECOMPUTE,
    PROJECT,
    TRAIN,
    PRETRAIN,
    CALIBRATE,
    SOUP,
    DEMO,
)


@contextlib.contextmanager
def _store_warnings_as_lines() -> Iterator[None]:
    """Show what was mended in a label store as one line, and other warnings as before."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_line(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, StoreWarning):
                end_line()
                sys.stderr.write(f"napari-sam: {message}\n")
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = show_line
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; None takes those of the process.

    Returns
    -------
    int
        Exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        command_parser().print_help(sys.stderr)
        return 2
    args = command_parser().parse_args(join_negative_numbers(arguments))
    args.argv = arguments
    try:
        with _store_warnings_as_lines():
            result = args.run(args)
    except NapariSamError as error:
        end_line()
        sys.stderr.write(f"napari-sam: {command_words(error, args.words)}\n")
        return 2
    except (OSError, RuntimeError) as error:
        problem = _impossible_path(error)
        if problem is None:
            raise
        end_line()
        sys.stderr.write(f"napari-sam: {problem}; check the paths\n")
        return 2
    except KeyboardInterrupt:
        end_line(interrupted=True)
        sys.stderr.write("napari-sam: interrupted\n")
        return 130
    if result is not None:
        sys.stdout.write(json.dumps(result) + "\n" if args.json else result_text(result))
    return int(getattr(args, "status", 0))


def _impossible_path(error: OSError | RuntimeError) -> str | None:
    """Return what is wrong with a path that no file can have; None for other errors."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{str(error.filename)[:100]}…: {error.strerror}"
    text = str(error)
    return text if isinstance(error, RuntimeError) and "home directory" in text else None


class _Parser(argparse.ArgumentParser):
    """A parser, also of each command, that reports what it cannot parse in one line."""

    def error(self, message: str) -> NoReturn:
        """Report bad input, and exit with status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see '{self.prog} --help'\n")


def command_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser: argparse.ArgumentParser = _Parser(prog="napari-sam", description="Segment anything in images of any size.")
    parser.add_argument("--version", action="version", version=f"napari-sam-xl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def result_text(result: Mapping[str, Any]) -> str:
    """Format a result for people: one line per entry, and one per object."""
    lines = []
    for key, value in result.items():
        if key == "objects" and isinstance(value, list):
            lines += [
                f"object {o['label']}: {o['area_px']} px in ({o['y0']}, {o['x0']}, {o['y1']}, {o['x1']}), "
                f"score {o['predicted_iou']:.2f}"
                for o in value
            ]
        elif value is not None:
            lines.append(f"{key}: {_words(value)}")
    return "\n".join(lines) + "\n"


def _words(value: object) -> str:
    """Return a value as people write it: without the brackets and quotes of Python.

    >>> _words({"encode": 1.5, "merge": 0.1}), _words([1, 4]), _words([])
    ('encode 1.5, merge 0.1', '1, 4', 'none')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return str(value)
