"""The commands ``models list``, ``models fetch`` and ``models info``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, CommandGroup, Result
from napari_sam.cli.progress_line import ProgressLine
from src_models.checkpoints.registry import is_cached, model_info, model_names

if TYPE_CHECKING:
    import argparse


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="name, as in 'models list'")


def _list(args: argparse.Namespace) -> Result:
    return {
        name: f"{'here' if is_cached(model_info(name)) else 'to download':<12} {model_info(name).description}"
        for name in model_names()
    }


def _fetch(args: argparse.Namespace) -> Result:
    from src_models.checkpoints.download import fetch_model  # noqa: PLC0415 - the command line starts quickly

    line = ProgressLine(f"{args.name}: MiB")

    def progress(done: int, total: int | None) -> None:
        if total:
            line(done >> 20, total >> 20)

    info = model_info(args.name)
    paths = [fetch_model(part, progress=progress) for part in (info, info.decoder) if part is not None]
    return {"model": args.name, "path": str(paths[0]), "decoder": str(paths[1]) if paths[1:] else None}


def _info(args: argparse.Namespace) -> Result:
    info = model_info(args.name)
    table = {**dataclasses.asdict(info), "path": str(info.path), "here": is_cached(info)}
    return {**table, "decoder": None if info.decoder is None else info.decoder.url}


MODELS = CommandGroup(
    "models",
    "list, fetch and describe models",
    (
        Command("list", "list all models", _list),
        Command("fetch", "download a model", _fetch, _add_name),
        Command("info", "describe a model", _info, _add_name),
    ),
)
