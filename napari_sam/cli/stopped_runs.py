"""What a command does with the stopped run in its output: continue it, drop it, or report that there is none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_sam.cli.run_results import check_existing, check_stopped_run
from napari_sam.cli.stack_options import describe_stopped, stack_kind
from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore


def is_finished(args: argparse.Namespace, kind: str) -> bool:
    """Whether ``--resume`` finds no stopped run to continue.

    Parameters
    ----------
    args : argparse.Namespace
        With the options of `add_existing_options` and of `add_stack_options`.
    kind : str
        What the command's run consists of: "tiles", "prompts" or "planes".

    Raises
    ------
    StoreError
        If the output exists and no option says what to do with it, or the stopped run is of the other kind.
    """
    from napari_sam.jobs.segment_image import unfinished_run  # noqa: PLC0415 - imports torch
    from napari_sam.jobs.segment_prompts import unfinished_prompts  # noqa: PLC0415
    from napari_sam.jobs.stacks.stack_run import read_unfinished_stack  # noqa: PLC0415

    if not args.out.exists() or args.overwrite:
        return False
    try:
        tiles, prompts, planes = unfinished_run(args.out), unfinished_prompts(args.out), read_unfinished_stack(args.out)
    except SettingsError:
        if args.discard:
            return False
        raise
    remedies = {
        "tiles": f"leave out {{{stack_kind(args) or 'prompts'}}} with {{resume}}",
        "prompts": "give its {prompts} FILE with {resume}",
        "planes": "give {volume} or {track} with {resume}, as for that run",
    }
    for stopped_kind, unfinished in zip(remedies, (tiles, prompts, planes), strict=True):
        if unfinished is not None:
            described = describe_stopped(stopped_kind, unfinished)
            check_stopped_run(args, stopped_kind == kind, described, remedy=remedies[stopped_kind])
            return False
    return check_existing(args)


def nothing_to_resume(args: argparse.Namespace, image: Image) -> tuple[dict[str, object], LabelStore]:
    """Report an output without a stopped run."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    store = LabelStore.open(args.out, like=image)
    sys.stderr.write(f"napari-sam: nothing to resume in {args.out}: it has {len(store)} objects\n")
    return {"image": args.image, "output": str(args.out), "objects": len(store)}, store
