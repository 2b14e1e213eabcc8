"""Run a command on many inputs: files, patterns and folders, with the outputs in one folder."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import command_words
from napari_sam.cli.progress_line import end_line
from napari_sam.errors import CancelledError, NapariSamError, SettingsError, StoreError
from napari_sam.io.image_inputs import expand_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_SUFFIX = re.compile(r"(\.ome)?\.[A-Za-z0-9]{1,8}$")


def add_out_dir(command: argparse._ActionsContainer, outputs: str) -> None:
    """Add ``--out-dir``, with which a command takes many inputs."""
    command.add_argument(
        "--out-dir",
        type=Path,
        metavar="DIR",
        help=f"write {outputs} into this folder; then any number of inputs may be given: files, patterns, folders",
    )


@dataclass(frozen=True)
class InputPair:
    """An input and its output.

    Attributes
    ----------
    source : str
        Path or URL.
    out : Path
        What to write.
    """

    source: str
    out: Path


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


def pair_inputs(patterns: Iterable[str], folder: Path, suffix: str, *, stores: bool = False) -> list[InputPair]:
    """Expand the inputs, and name the output of each after it.

    Parameters
    ----------
    patterns : iterable of str
        Files, URLs, patterns such as ``*.tif``, and folders, which stand for the images (or label stores) in them.
    folder : Path
        Folder of the outputs; made if it is missing.
    suffix : str
        Suffix of the outputs, such as ".ome.zarr".
    stores : bool
        The inputs are label stores.

    Raises
    ------
    ImageError
        If a pattern or a folder holds no input.
    SettingsError
        If two inputs have one name.
    StoreError
        If the folder cannot be made.
    """
    pairs: dict[str, InputPair] = {}
    for source in [path for pattern in patterns for path in expand_inputs(pattern, stores=stores)]:
        name = _SUFFIX.sub("", re.split(r"[?#]", source.rstrip("/"))[0].replace("\\", "/").rsplit("/", 1)[-1])
        pair = InputPair(source, folder / f"{name}{suffix}")
        known = pairs.setdefault(pair.out.name.casefold(), pair)
        if known.source != source:
            raise SettingsError(
                f"{known.source} and {source} would both be written to {pair.out}",
                parameter="out_dir",
                remedy="rename one, or process them in two runs with two folders",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: the folder cannot be made ({error.strerror})", remedy="choose another folder"
        ) from error
    return list(pairs.values())


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
