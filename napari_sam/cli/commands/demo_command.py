"""The command ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for labels, table and screenshot (default: demo)"
    )
    command.add_argument("--headless", action="store_true", help="open no window")


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.cli.demo import run_demo  # noqa: PLC0415 - the command line starts quickly

    return run_demo(args.out, headless=args.headless)


DEMO = Command("demo", "segment the sample image, in a window if possible", _run, _add_options)
