"""Run a command on many inputs: files, patterns and folders, with the outputs in one folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import command_words
from napari_sam.cli.progress_line import end_line
from napari_sam.errors import CancelledError, NapariSamError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.jobs.input_pairs import InputPair


def add_out_dir(command: argparse._ActionsContainer, outputs: str) -> None:
    """Add ``--out-dir``, with which a command takes many inputs."""
    command.add_argument(
        "--out-dir",
        type=Path,
        metavar="DIR",
        help=f"write {outputs} into this folder; then any number of inputs may be given: files, patterns, folders",
    )


def single_output(args: argparse.Namespace, rest: Sequence[str], word: str) -> Path:
    """Return the output of a command that was given one input.

    Raises
    ------
    SettingsError
        If there is none, or more than one word follows the input.
    """
    if not rest:
        raise SettingsError(f"{word} is missing", parameter="out", remedy=f"give {word}, or {{out_dir}} DIR")
    if len(rest) > 1:
        raise SettingsError(
            f"{1 + len(rest)} paths were given, an input and {word} were expected",
            parameter="out",
            remedy="give {out_dir} DIR to process several inputs",
        )
    return Path(rest[0])


def run_each(
    args: argparse.Namespace,
    pairs: Sequence[InputPair],
    run: Callable[[argparse.Namespace, InputPair], Mapping[str, object]],
) -> Mapping[str, object]:
    """Run a command on each input; an input that fails does not stop the others.

    Parameters
    ----------
    args : argparse.Namespace
        Arguments of the command; its exit status becomes 1 if an input fails.
    pairs : sequence of InputPair
        Inputs and outputs.
    run : callable
        Runs one; takes a copy of the arguments and the pair, and returns the result.

    Returns
    -------
    dict
        Summary; with ``--json`` also the result of each.
    """
    results: list[Mapping[str, object]] = []
    failed: list[str] = []
    for number, pair in enumerate(pairs, 1):
        sys.stderr.write(f"napari-sam: {pair.source} ({number} of {len(pairs)})\n")
        copied = argparse.Namespace(**{**vars(args), "status": 0})
        try:
            results.append(run(copied, pair))
        except CancelledError:
            raise
        except NapariSamError as error:
            end_line()
            sys.stderr.write(f"napari-sam: {command_words(error, args.words)}\n")
            failed.append(pair.source)
            results.append({"image": pair.source, "error": command_words(error, args.words)})
        else:
            if copied.status:
                failed.append(pair.source)
    args.status = 1 if failed else 0
    summary: dict[str, object] = {"output": str(args.out_dir), "inputs": len(pairs)}
    counts = [result[name] for result in results for name in ("objects", "count") if name in result]
    if counts:
        summary["objects"] = sum(n for n in counts if isinstance(n, int))
    return {**summary, "failed": failed, **({"results": results} if args.json else {})}
