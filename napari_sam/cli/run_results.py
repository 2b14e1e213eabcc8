"""What the commands that segment whole images and stacks have in common: failures, results and clusters."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

from napari_sam.cli.progress_line import end_line
from napari_sam.errors import SettingsError, StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_LISTED = 20  # failures


def add_existing_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say what becomes of an output that exists."""
    existing = command.add_mutually_exclusive_group()
    existing.add_argument("--add", action="store_true", help="add to the objects of OUT")
    existing.add_argument("--overwrite", action="store_true", help="replace the label store OUT")
    existing.add_argument("--resume", action="store_true", help="continue the stopped run in OUT")
    existing.add_argument("--discard", action="store_true", help="discard the stopped run in OUT, and add to OUT")


def add_worker_options(command: argparse.ArgumentParser) -> None:
    """Add ``--workers`` and ``--scheduler``."""
    workers = command.add_mutually_exclusive_group()
    workers.add_argument("--workers", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    workers.add_argument("--scheduler", metavar="ADDRESS", help="Dask cluster, such as tcp://host:8786")


def check_workers(workers: int) -> None:
    """Refuse a number of processes below 1."""
    if workers < 1:
        raise SettingsError(f"workers is {workers}", parameter="workers", remedy="give a whole number from 1")


def resume_choice(args: argparse.Namespace) -> bool | None:
    """Return what ``--resume`` and ``--discard`` say about a stopped run."""
    return True if args.resume else False if args.discard else None


def check_stopped_run(args: argparse.Namespace, is_this_kind: bool, description: str, *, remedy: str) -> None:
    """Refuse a command that neither continues nor drops the stopped run in its output.

    Parameters
    ----------
    args : argparse.Namespace
        With the options of `add_existing_options`.
    is_this_kind : bool
        Whether the command could continue the run.
    description : str
        What the run was about, after "holds a stopped run, of".
    remedy : str
        How to continue a run of another kind.
    """
    if not (args.resume or args.discard):
        raise StoreError(
            f"{args.out}: holds a stopped run, of {description}",
            remedy="continue it with {resume}, or drop it with {discard}",
        )
    if args.resume and not is_this_kind:
        raise StoreError(f"{args.out}: the stopped run there is of the other kind", remedy=remedy)


def check_existing(args: argparse.Namespace) -> bool:
    """Return whether ``--resume`` finds no stopped run in an output that exists.

    Raises
    ------
    StoreError
        If no option says what to do with the output.
    """
    if not (args.add or args.resume or args.discard):
        raise StoreError(
            f"{args.out}: exists already", remedy="add objects to it with {add}, or replace it with {overwrite}"
        )
    return bool(args.resume)


def summary(args: argparse.Namespace, method: str, first_label: int) -> dict[str, object]:
    """Return the first entries of the result."""
    return {"image": args.image, "output": str(args.out), "method": method, "first label": int(first_label)}


def list_failures(args: argparse.Namespace, failures: list[str], count: int, units: str) -> None:
    """List failures on standard error and set the exit status to 1; the other objects are written."""
    if not count:
        return
    end_line()
    more = [f"and {count - _LISTED} more"] if count > _LISTED else []
    for line in [f"{count} {units} failed; the rest is in {args.out}:", *failures[:_LISTED], *more]:
        sys.stderr.write(f"napari-sam: {line}\n")
    args.status, args.failed_parts = 1, count


@contextlib.contextmanager
def dask_client(address: str | None) -> Iterator[Any]:
    """Connect to a Dask cluster; None without an address.

    Raises
    ------
    SettingsError
        If `distributed` is not installed, or the scheduler does not answer.
    """
    if address is None:
        yield None
        return
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise SettingsError(
            f"scheduler {address} needs Dask", parameter="scheduler", remedy="run 'pip install napari-sam-xl[cluster]'"
        ) from error
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingsError(
            f"scheduler {address}: no answer ({error})", parameter="scheduler", remedy="check that it is running"
        ) from error
    with client:
        yield client
