"""Run a command on many inputs: files, patterns and folders, with the outputs in one folder."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_sam.cli.command import command_words
from napari_sam.cli.progress_line import end_line
from napari_sam.errors import CancelledError, NapariSamError, SettingsError
from napari_sam.jobs.batch.batch import ADD, DISCARD, OVERWRITE, REFUSE, RESUME, Batch, BatchItem
from napari_sam.jobs.batch.batch_folder import BatchFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.batch.image_record import ImageRecord
    from napari_sam.jobs.input_pairs import InputPair

T = TypeVar("T")
_EXISTING = (ADD, OVERWRITE, RESUME, DISCARD)


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


def add_retry_option(command: argparse._ActionsContainer) -> None:
    """Add ``--retry-failed``."""
    command.add_argument(
        "--retry-failed", action="store_true", help="of many images, only those that failed or were not finished before"
    )


def batch_of(args: argparse.Namespace, command: str, asked: JsonObject, folder: BatchFolder | None = None) -> Batch:
    """Return the batch that a command begins or continues.

    Parameters
    ----------
    args : argparse.Namespace
        With ``out_dir``, the option of `add_retry_option`, and maybe those of `add_existing_options`.
    command : str
        Its name, under which the records are kept.
    asked : dict
        Everything that decides the results.
    folder : BatchFolder, optional
        The records; beside the outputs by default.
    """
    existing = next((name for name in _EXISTING if getattr(args, name, False)), REFUSE)
    where = BatchFolder.beside(args.out_dir, command) if folder is None else folder
    return Batch(where, asked, existing, args.retry_failed)


def run_each(
    args: argparse.Namespace,
    pairs: Sequence[InputPair],
    run: Callable[[argparse.Namespace, InputPair], Mapping[str, object]],
    batch: Batch | None = None,
    on_done: Callable[[argparse.Namespace, InputPair], object] | None = None,
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
    batch : Batch, optional
        Keeps what becomes of each: inputs that an earlier call has finished are passed over.
    on_done : callable, optional
        Called with a copy of the arguments and each input that is passed over.

    Returns
    -------
    dict
        Summary; with ``--json`` also the result of each.
    """
    items = [BatchItem(pair) for pair in pairs] if batch is None else batch.plan(pairs)
    runs = _Runs(args, run, batch)
    for item in items:
        if item.note:
            sys.stderr.write(f"napari-sam: {item.pair.source}: {item.note}\n")
        if item.done is not None:
            runs.skip(item.pair, item.done, on_done)
    if runs.results:
        sys.stderr.write(f"napari-sam: {len(runs.results)} of {len(items)} are done already, with the same settings\n")
    left = [item for item in items if item.done is None]
    try:
        for number, item in enumerate(left, 1):
            sys.stderr.write(f"napari-sam: {item.pair.source} ({number} of {len(left)})\n")
            runs.run(item)
    finally:
        if batch is not None and items:
            batch.folder.write_table()
    return runs.summary(len(items))


class _Runs:
    """Runs a command on one input after another, and collects the results."""

    def __init__(
        self,
        args: argparse.Namespace,
        run: Callable[[argparse.Namespace, InputPair], Mapping[str, object]],
        batch: Batch | None,
    ) -> None:
        self._args, self._run, self._batch = args, run, batch
        self.results: list[Mapping[str, object]] = []
        self._failed: list[str] = []
        self._skipped = 0

    def skip(
        self,
        pair: InputPair,
        record: ImageRecord,
        on_done: Callable[[argparse.Namespace, InputPair], object] | None,
    ) -> None:
        """Add an input that is done already."""
        if on_done is not None:
            self._attempt(pair, partial(on_done, self._copy(), pair))
        self._skipped += 1
        result = {"image": pair.source, "output": str(pair.out), "objects": record.objects, "state": "skipped"}
        self.results.append({name: value for name, value in result.items() if value is not None})

    def run(self, item: BatchItem) -> None:
        """Run the command on an input."""
        pair, batch, copied = item.pair, self._batch, self._copy()
        if batch is None:
            result, _ = self._attempt(pair, partial(self._run, copied, pair))
            if result is not None:
                self._add(pair, result, copied.status)
            return
        if hasattr(copied, RESUME):
            vars(copied).update({name: name == item.existing for name in _EXISTING})
        begun, message = self._attempt(pair, partial(batch.begin, item))
        if begun is None:
            return
        result, message = self._attempt(pair, partial(self._run, copied, pair))
        if result is None:
            batch.fail(begun, pair, message)
        else:
            self._add(pair, result, copied.status)
            batch.finish(begun, pair, _count(result), int(getattr(copied, "failed_parts", copied.status)))

    def _copy(self) -> argparse.Namespace:
        return argparse.Namespace(**{**vars(self._args), "status": 0})

    def _attempt(self, pair: InputPair, work: Callable[[], T]) -> tuple[T | None, str]:
        """Return what `work` returns, or None and why it failed, which is reported and added to the results."""
        try:
            return work(), ""
        except CancelledError:
            raise
        except NapariSamError as error:
            end_line()
            message = command_words(error, self._args.words)
            sys.stderr.write(f"napari-sam: {message}\n")
            self._failed.append(pair.source)
            state = {} if self._batch is None else {"state": "failed"}
            self.results.append({"image": pair.source, "error": message, **state})
            return None, message

    def _add(self, pair: InputPair, result: Mapping[str, object], status: int) -> None:
        state = {} if self._batch is None else {"state": "failed" if status else "done"}
        self.results.append({**result, **state})
        if status:
            self._failed.append(pair.source)

    def summary(self, inputs: int) -> Mapping[str, object]:
        """Return the result of the command, and set its exit status."""
        self._args.status = 1 if self._failed else 0
        summary: dict[str, object] = {"output": str(self._args.out_dir), "inputs": inputs}
        counts = [count for result in self.results if (count := _count(result)) is not None]
        if counts:
            summary["objects"] = sum(counts)
        summary["failed"] = self._failed
        if self._batch is not None:
            summary |= {"skipped": self._skipped, "summary": str(self._batch.folder.table)}
        return {**summary, **({"results": self.results} if self._args.json else {})}


def _count(result: Mapping[str, object]) -> int | None:
    """Return the number of objects of a result."""
    counts = (result[name] for name in ("objects", "count") if name in result)
    return next((count for count in counts if isinstance(count, int)), None)
