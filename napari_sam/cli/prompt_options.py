"""The options of ``everything`` that give prompts, and reading them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_sam.errors import PromptError

if TYPE_CHECKING:
    import argparse

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.prompts.prompt_table import PromptTable


def add_prompt_options(command: argparse.ArgumentParser) -> None:
    """Add ``--prompts`` and the options that tell how to read them."""
    group = command.add_argument_group("prompted mode")
    group.add_argument(
        "--prompts", metavar="FILE", help="boxes or points: .csv, .parquet, COCO .json, .geojson, or a label image"
    )
    group.add_argument("--prompt-masks", action="store_true", help="also prompt with the masks of a label image")
    group.add_argument("--image-id", metavar="ID", help="id of the image in a COCO file with several")
    group.add_argument(
        "--coordinates",
        choices=("auto", "pixels", "map", "lonlat"),
        default="auto",
        help="coordinates of a GeoJSON file (default: as it declares)",
    )
    group.add_argument("--skip-bad", action="store_true", help="leave out prompts that are empty or outside the image")


def read_given_prompts(args: argparse.Namespace, image: Image) -> PromptTable:
    """Read the prompts, those with their middle inside the region.

    Raises
    ------
    PromptError
        If they cannot be read, or none lies inside the region.
    """
    from napari_sam.engine.automatic.dense_maps import check_region  # noqa: PLC0415 - imports torch
    from napari_sam.io.prompts.prompt_region import prompts_within  # noqa: PLC0415
    from napari_sam.io.read_prompts import read_prompts  # noqa: PLC0415

    errors = "skip" if args.skip_bad else "raise"
    table = read_prompts(
        args.prompts,
        image,
        masks=args.prompt_masks,
        coordinates=args.coordinates,
        image_id=_image_id(args.image_id),
        errors=errors,
    )
    if args.region is None:
        return table
    inside = prompts_within(table, check_region(args.region, image.shape, most_px=None))
    if not len(inside):
        raise PromptError(
            f"region {','.join(map(str, args.region))}: no prompt has its middle there",
            parameter="region",
            remedy="give another {region}",
        )
    if outside := len(table) - len(inside):
        sys.stderr.write(f"napari-sam: {outside} of {len(table)} prompts lie outside --region and are left out\n")
    return inside


def _image_id(text: str | None) -> int | str | None:
    """Return an id of COCO: a number, or a word."""
    return int(text) if text is not None and text.isdecimal() else text
