"""What decides the results of a command over many images, of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.cli.setting_options import given_settings, settings_from
from napari_sam.cli.stack_options import stack_kind
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.jobs.batch.asked import changed_fields, what_is_found
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.jobs.job_settings import EverythingSettings
from src_models.run_record import as_json

if TYPE_CHECKING:
    import argparse

    from napari_sam.io.json_types import JsonObject

_OF_IMAGES = ("channels", "plane", "series", "axes")
_OF_MEASURING = ("properties", "volumes", "z_step")


def asked_of_segmenting(args: argparse.Namespace) -> JsonObject:
    """Return what decides the objects that ``everything`` and ``track`` find in each image."""
    chosen = settings_from(args, EverythingSettings)
    # The command line searches coarser levels unless told not to, the library only without a diameter.
    coarser = not args.no_coarser if hasattr(args, "no_coarser") else chosen.searches_coarser
    grid = given_settings(args, GridSettings)
    words = {name: getattr(args, name, None) for name in ("text", "detector", "ranker")}
    return what_is_found(args.model, chosen, **_of_image(args), **words, grid=grid or None) | {"coarser": coarser}


def asked_of_finding(args: argparse.Namespace, concept: str) -> JsonObject:
    """Return what decides the objects that ``find`` keeps in each image.

    Parameters
    ----------
    args : argparse.Namespace
        Options of ``find``.
    concept : str
        Name of the concept's file, with its hash.
    """
    return what_is_found(args.model, settings_from(args, FindSettings), **_of_image(args), concept=concept)


def asked_of_measuring(args: argparse.Namespace) -> JsonObject:
    """Return what decides the table that ``measure`` makes of each label store."""
    values = {name: getattr(args, name) for name in (*_OF_IMAGES, *_OF_MEASURING)}
    return as_json({name: value for name, value in values.items() if value not in (None, False)})


def _of_image(args: argparse.Namespace) -> dict[str, object]:
    """Return which part of an image is segmented, and how its planes are linked."""
    kind = stack_kind(args)
    linking = {"volume": PlaneLinking, "track": FrameLinking}.get(kind or "")
    return {
        **{name: getattr(args, name) for name in _OF_IMAGES},
        "precision": None if args.precision == "auto" else args.precision,
        "stack": kind,
        "planes": None if linking is None else args.planes,
        "linking": None if linking is None else changed_fields(settings_from(args, linking)) or None,
    }
