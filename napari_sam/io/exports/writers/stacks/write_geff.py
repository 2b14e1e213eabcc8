"""Write tracks as GEFF, the graph exchange file format, with the package geff."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.writers.stacks.track_nodes import track_graph
from napari_sam.io.geo.units import unit_kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob

    Property = dict[str, NDArray[Any] | None]

_TYPES = {"t": "time"}


def write_geff(job: ExportJob) -> None:
    """Write a directed graph: a node for each object and frame, with position, label, size and score.

    Positions are in pixels and frames; the axes give their scale and unit. Edges lead from frame to frame and from a
    parent to its children.

    Raises
    ------
    LabelsError
        If the labels have no axis t, or geff is not installed.
    """
    try:
        geff, spec = importlib.import_module("geff.core_io"), importlib.import_module("geff_spec")
    except ImportError as error:
        raise LabelsError(
            f"{job.path}: GEFF needs the package geff",
            remedy="run pip install 'napari-sam-xl[tracks]', or write {format} trackmate",
        ) from error
    graph = track_graph(job)
    nodes, axes = graph.nodes, [axis for axis in job.source.axes if axis in "tzyx"]
    position = np.array([node.position for node in nodes]).reshape(-1, 3)
    scores = np.array([np.nan if node.score is None else node.score for node in nodes])
    columns: dict[str, NDArray[Any]] = {"t": np.array([node.frame for node in nodes], np.int64)}
    columns |= {axis: position[:, "zyx".index(axis)] for axis in axes if axis != "t"}
    columns |= {
        "label": np.array([node.label for node in nodes], np.uint64),
        "lineage": graph.lineage.astype(np.uint64),
    }
    columns |= {"area_px": np.array([node.voxels for node in nodes], np.uint64), "predicted_iou": scores}
    missing = {"predicted_iou": np.isnan(scores)}
    properties: dict[str, Property] = {
        name: {"values": np.nan_to_num(values) if name in missing else values, "missing": missing.get(name)}
        for name, values in columns.items()
    }
    metadata = spec.GeffMetadata(
        directed=True,
        axes=[spec.Axis(**_axis(job, axis)) for axis in axes],
        track_node_props={"lineage": "lineage", "tracklet": "label"},
        node_props_metadata={},
        edge_props_metadata={},
    )
    edges = np.array(graph.edges, np.uint64).reshape(-1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about units that OME-NGFF does not know
        geff.write_arrays(
            job.partial, np.arange(len(nodes), dtype=np.uint64), properties, edges, {}, metadata, zarr_format=3
        )


def _axis(job: ExportJob, axis: str) -> dict[str, Any]:
    """Return geff's description of an axis; pixels and frames with the factor to the image's unit, if it has one."""
    placement = job.source.placement(axis)
    described: dict[str, Any] = {"name": axis, "type": _TYPES.get(axis, "space")}
    described["unit"] = "frame" if axis == "t" else "pixel"
    if placement.unit is not None and unit_kind(placement.unit) == described["type"]:
        described |= {"scale": placement.scale, "scaled_unit": placement.unit, "offset": placement.translation}
    return described
