"""Write tracks as TrackMate XML, which Fiji's TrackMate opens, with the outlines of two-dimensional objects."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET  # only writes
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.exports.polygons import doubled_area
from napari_sam.io.exports.writers.stacks.track_nodes import track_graph
from napari_sam.io.geo.units import unit_suffix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.polygons import Polygon, Ring
    from napari_sam.io.exports.writers.stacks.track_nodes import TrackGraph, TrackNode

_VERSION = "7.11.1"  # of TrackMate, whose schema this is
_SPOT_FEATURES = (  # name, what it is called, dimension, whether it is a whole number
    ("QUALITY", "Quality", "QUALITY", False),
    ("POSITION_X", "X", "POSITION", False),
    ("POSITION_Y", "Y", "POSITION", False),
    ("POSITION_Z", "Z", "POSITION", False),
    ("POSITION_T", "T", "TIME", False),
    ("FRAME", "Frame", "NONE", True),
    ("RADIUS", "Radius", "LENGTH", False),
    ("VISIBILITY", "Visibility", "NONE", True),
    ("LABEL", "Label", "NONE", True),
    ("AREA_PX", "Number of pixels", "NONE", True),
)
_EDGE_FEATURES = (
    ("SPOT_SOURCE_ID", "Source spot ID", "NONE", True),
    ("SPOT_TARGET_ID", "Target spot ID", "NONE", True),
)
_TRACK_FEATURES = (("TRACK_ID", "Track ID", "NONE", True), ("NUMBER_SPOTS", "Number of spots", "NONE", True))
_NO_ROI = 4  # corners below which an outline has no area


def write_trackmate(job: ExportJob) -> None:
    """Write spots, edges and tracks; a track is an object with all its descendants.

    Positions are in the image's unit, times in the unit of t, or in pixels and frames where these are unknown. The
    outline of the largest piece of a two-dimensional object is its region; other pieces and holes are not in the file.

    Raises
    ------
    LabelsError
        If the labels have no axis t.
    """
    outlines: dict[tuple[int, int], Ring] = {}

    def keep(node: TrackNode, polygons: list[Polygon]) -> None:
        outer = (polygon[0] for polygon in polygons)
        outlines[node.frame, node.label] = max(outer, key=lambda ring: abs(doubled_area(ring)))

    graph = track_graph(job, None if "z" in job.source.axes else keep)
    root = ET.Element("TrackMate", version=_VERSION)
    ET.SubElement(root, "Log").text = f"exported from {job.source.path.name} by napari-sam-xl"
    unit, time_unit = (job.source.placement(axis).unit for axis in "xt")
    model = ET.SubElement(
        root,
        "Model",
        spatialunits="pixel" if unit is None else unit_suffix(unit).replace("um", "µm"),
        timeunits="frame" if time_unit is None else unit_suffix(time_unit),
    )
    _declare(model)
    space = np.array([_scale(job, axis) for axis in "zyx"])
    sizes = _Sizes(space, _scale(job, "t"), "z" in job.source.axes)
    _add_spots(model, graph, outlines, sizes)
    _add_tracks(model, graph)
    _add_settings(root, job)
    ET.indent(root, " ")
    ET.ElementTree(root).write(job.partial, encoding="UTF-8", xml_declaration=True)


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a voxel (z, y, x), the time between frames, and whether objects have a depth."""

    space: NDArray[np.float64]
    time: float
    has_depth: bool

    def radius(self, voxels: int) -> float:
        """Return the radius of the circle or ball of the same size."""
        if self.has_depth:
            return float(np.cbrt(3 * voxels * self.space.prod() / (4 * math.pi)))
        return math.sqrt(voxels * float(self.space[1:].prod()) / math.pi)


def _scale(job: ExportJob, axis: str) -> float:
    return job.source.placement(axis).scale if axis in job.source.axes else 1.0


def _declare(model: ET.Element) -> None:
    """Name the features that spots, edges and tracks have."""
    parent = ET.SubElement(model, "FeatureDeclarations")
    for kind, features in (
        ("SpotFeatures", _SPOT_FEATURES),
        ("EdgeFeatures", _EDGE_FEATURES),
        ("TrackFeatures", _TRACK_FEATURES),
    ):
        group = ET.SubElement(parent, kind)
        for key, name, dimension, whole in features:
            about = {"feature": key, "name": name, "shortname": name, "dimension": dimension}
            ET.SubElement(group, "Feature", about, isint=str(whole).lower())


def _add_spots(
    model: ET.Element,
    graph: TrackGraph,
    outlines: dict[tuple[int, int], Ring],
    sizes: _Sizes,
) -> None:
    """Add all spots, frame by frame; their ids are their positions in the graph."""
    spots = ET.SubElement(model, "AllSpots", nspots=str(len(graph.nodes)))
    scale = sizes.space
    frames: dict[int, ET.Element] = {}
    for i, node in enumerate(graph.nodes):
        if node.frame not in frames:
            frames[node.frame] = ET.SubElement(spots, "SpotsInFrame", frame=str(node.frame))
        z, y, x = (float(v) for v in node.position * scale)
        spot = ET.SubElement(
            frames[node.frame],
            "Spot",
            ID=str(i),
            name=f"{node.label}",
            QUALITY=repr(1.0 if node.score is None else float(node.score)),
            POSITION_X=repr(x),
            POSITION_Y=repr(y),
            POSITION_Z=repr(z),
            POSITION_T=repr(node.frame * sizes.time),
            FRAME=str(node.frame),
            RADIUS=repr(sizes.radius(node.voxels)),
            VISIBILITY="1",
            LABEL=str(node.label),
            AREA_PX=str(node.voxels),
        )
        outline = outlines.get((node.frame, node.label), [])
        if len(outline) >= _NO_ROI:
            # the corners of pixels lie half a pixel before the positions of their centres
            points = (np.array(outline, float) - 0.5 - node.position[[2, 1]]) * scale[[2, 1]]
            spot.set("ROI_N_POINTS", str(len(points)))
            spot.text = " ".join(f"{value:.6g}" for value in points.ravel())


def _add_tracks(model: ET.Element, graph: TrackGraph) -> None:
    """Add the trees of the graph that have an edge."""
    members = np.bincount(graph.lineage) if len(graph.nodes) else np.zeros(0, int)
    edges: dict[int, list[tuple[int, int]]] = {}
    for first, second in graph.edges:
        edges.setdefault(int(graph.lineage[first]), []).append((first, second))
    tracks = ET.SubElement(model, "AllTracks")
    for number, pairs in sorted(edges.items()):
        track = ET.SubElement(
            tracks, "Track", name=f"Track_{number}", TRACK_ID=str(number), NUMBER_SPOTS=str(int(members[number]))
        )
        for first, second in pairs:
            ET.SubElement(track, "Edge", SPOT_SOURCE_ID=str(first), SPOT_TARGET_ID=str(second))
    shown = ET.SubElement(model, "FilteredTracks")
    for number in sorted(edges):
        ET.SubElement(shown, "TrackID", TRACK_ID=str(number))


def _add_settings(root: ET.Element, job: ExportJob) -> None:
    """Add what TrackMate needs to find and scale the image, and to show the tracks without filters."""
    sizes = dict(zip(job.source.axes, job.source.shape, strict=True))
    uri = job.source.image_uri or ""
    folder, _, name = uri.rpartition("/")
    settings = ET.SubElement(root, "Settings")
    ET.SubElement(
        settings,
        "ImageData",
        filename=name,
        folder=f"{folder}/" if folder else "",
        width=str(sizes["x"]),
        height=str(sizes["y"]),
        nslices=str(sizes.get("z", 1)),
        nframes=str(sizes.get("t", 1)),
        pixelwidth=repr(_scale(job, "x")),
        pixelheight=repr(_scale(job, "y")),
        voxeldepth=repr(_scale(job, "z")),
        timeinterval=repr(_scale(job, "t")),
    )
    ET.SubElement(settings, "InitialSpotFilter", feature="QUALITY", value="0.0", isabove="true")
    for name in ("SpotFilterCollection", "TrackFilterCollection"):
        ET.SubElement(settings, name)
    analyzers = ET.SubElement(settings, "AnalyzerCollection")
    for name in ("SpotAnalyzers", "EdgeAnalyzers", "TrackAnalyzers"):
        ET.SubElement(analyzers, name)
    ET.SubElement(root, "GUIState", state="ConfigureViews")
