"""GEFF and TrackMate files, read by the package geff."""

from __future__ import annotations

import sys
import warnings
import xml.etree.ElementTree as ET

import geff
import numpy as np
import pytest
from geff.convert import from_trackmate_xml_to_geff

from napari_sam.errors import LabelsError
from tests.io.exports.writers.stacks.stacks import movie, stack_store

SCALES = (60.0, 0.5, 0.25)


@pytest.fixture
def store(tmp_path):
    labels, parents = movie()
    with stack_store(tmp_path / "m.zarr", labels, "tyx", SCALES, parents) as opened:
        yield opened


def expected_edges(label_of, frame_of, edges):
    """Return edges as pairs of (label, frame)."""
    return {((label_of(a), frame_of(a)), (label_of(b), frame_of(b))) for a, b in edges}


WITHIN = ((1, 0, 1), (2, 2, 4), (3, 2, 4), (5, 0, 4), (6, 3, 4))  # label, first and last frame
ACROSS = {((4, 0), (4, 1)), ((4, 1), (4, 3)), ((4, 3), (4, 4))}  # 4 is missing in frame 2
DIVISIONS = {((1, 1), (2, 2)), ((1, 1), (3, 2)), ((5, 2), (6, 3))}
EDGES = ACROSS | DIVISIONS | {((n, t), (n, t + 1)) for n, first, last in WITHIN for t in range(first, last)}


def test_geff_has_a_node_for_each_object_and_frame(store, tmp_path):
    path = store.export(tmp_path / "tracks.geff")
    geff.validate_structure(path)
    graph, metadata = geff.read(path, backend="networkx")
    labels, _ = movie()
    assert len(graph) == sum(len(np.unique(frame)) - 1 for frame in labels)
    assert expected_edges(lambda n: graph.nodes[n]["label"], lambda n: graph.nodes[n]["t"], graph.edges) == EDGES
    for _, node in graph.nodes(data=True):
        pixels = np.argwhere(labels[node["t"]] == node["label"])
        assert (node["y"], node["x"]) == pytest.approx(tuple(pixels.mean(0)))
        assert (node["area_px"], node["predicted_iou"]) == (len(pixels), 0.5)
    axes = {axis.name: (axis.type, axis.unit, axis.scale, axis.scaled_unit) for axis in metadata.axes}
    assert axes["t"] == ("time", "frame", 60.0, "second")
    assert axes["x"] == ("space", "pixel", 0.25, "micrometer")
    assert metadata.track_node_props == {"lineage": "lineage", "tracklet": "label"}
    trees = {}
    for _, node in graph.nodes(data=True):
        trees.setdefault(node["lineage"], set()).add(node["label"])
    assert sorted(map(sorted, trees.values())) == [[1, 2, 3], [4], [5, 6]]


def test_geff_of_volumes_has_z(tmp_path):
    labels = np.zeros((2, 4, 10, 12), np.uint32)
    labels[:, 1:3, 2:6, 3:9] = 7
    with stack_store(tmp_path / "v.zarr", labels, "tzyx", (1.0, 2.0, 1.0, 1.0)) as store:
        graph, _ = geff.read(store.export(tmp_path / "t.geff"), backend="networkx")
    node = next(node for _, node in graph.nodes(data=True))
    assert (node["z"], node["y"], node["x"], node["area_px"]) == (1.5, 3.5, 5.5, 48)


def test_geff_without_the_package_names_it(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "geff.core_io", None)
    with pytest.raises(LabelsError, match="GEFF needs the package geff"):
        store.export(tmp_path / "t.geff")


def test_an_empty_movie_is_written(tmp_path):
    with stack_store(tmp_path / "v.zarr", np.zeros((2, 10, 12), np.uint32), "tyx", (1.0, 1.0, 1.0)) as store:
        graph, _ = geff.read(store.export(tmp_path / "t.geff"), backend="networkx")
        assert len(graph) == 0
        assert ET.parse(store.export(tmp_path / "t.xml")).find("Model/AllSpots").get("nspots") == "0"


def test_trackmate_is_read_as_the_same_graph(store, tmp_path):
    path = store.export(tmp_path / "tracks.xml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # geff does not know µm, TrackMate's unit
        from_trackmate_xml_to_geff(path, tmp_path / "from.geff", zarr_format=3)
        graph, _ = geff.read(tmp_path / "from.geff", backend="networkx")
    assert expected_edges(lambda n: graph.nodes[n]["LABEL"], lambda n: graph.nodes[n]["FRAME"], graph.edges) == EDGES
    labels, _ = movie()
    for _, node in graph.nodes(data=True):
        y, x = np.argwhere(labels[node["FRAME"]] == node["LABEL"]).mean(0)
        assert (node["POSITION_Y"], node["POSITION_X"]) == pytest.approx((y * 0.5, x * 0.25))
        assert node["POSITION_T"] == 60 * node["FRAME"]


def test_trackmate_has_outlines_around_the_position(store, tmp_path):
    root = ET.parse(store.export(tmp_path / "tracks.xml")).getroot()
    spot = next(s for s in root.iter("Spot") if s.get("LABEL") == "1")  # 10 x 10 px of 0.5 x 0.25 um
    points = np.array(spot.text.split(), float).reshape(-1, 2)
    assert len(points) == int(spot.get("ROI_N_POINTS")) == 4
    assert points.min(0).tolist() == [-1.25, -2.5]
    assert points.max(0).tolist() == [1.25, 2.5]
    assert root.find("Model").get("spatialunits") == "µm"
    image = root.find("Settings/ImageData")
    assert (image.get("nframes"), image.get("pixelwidth"), image.get("timeinterval")) == ("5", "0.25", "60.0")


def test_tracks_of_trackmate_are_those_of_filtered_tracks(store, tmp_path):
    root = ET.parse(store.export(tmp_path / "tracks.xml")).getroot()
    ids = [track.get("TRACK_ID") for track in root.iter("Track")]
    assert ids == [track.get("TRACK_ID") for track in root.find("Model/FilteredTracks")] == ["0", "1", "2"]
