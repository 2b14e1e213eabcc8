"""Options of commands that take words: the phrase, and the models that find what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    Options = argparse.ArgumentParser | argparse._ArgumentGroup


def add_text_option(command: Options, help: str) -> None:  # noqa: A002 - argparse's word
    """Add ``--text``."""
    command.add_argument("--text", metavar="WORDS", help=help)


def add_text_models(command: Options) -> None:
    """Add ``--detector`` and ``--ranker``, the models of words outside the vocabulary."""
    command.add_argument(
        "--detector",
        metavar="MODEL",
        help="folder of OWLv2, Grounding DINO, CLIPSeg or SAM 3, or its name in the Hub's cache: for any words",
    )
    command.add_argument("--ranker", metavar="MODEL", help="folder of CLIP, which ranks the detector's masks")


def check_text_models(args: argparse.Namespace) -> None:
    """Refuse models for words where there are none.

    Raises
    ------
    SettingsError
        If one is given without ``--text``.
    """
    for name in ("detector", "ranker"):
        if args.text is None and getattr(args, name) is not None:
            raise SettingsError(f"{name} {getattr(args, name)}", parameter=name, remedy="give {text}, too")


def text_keywords(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keywords ``text`` and ``detector`` of a function; none without ``--text``."""
    if args.text is None:
        return {}
    from napari_sam.text.text_search import TextSearch  # noqa: PLC0415 - imports torch

    return {"text": args.text, "detector": TextSearch(detector=args.detector, ranker=args.ranker)}
