"""The paths of the objects of a movie, with their lineages, as a tracks layer of napari."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Tracks

from napari_sam.layers.insert_layer import insert_unselected
from napari_sam.layers.placement import placement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.io.labels.journal.rows import ObjectPlane

TRACKS_NAME = "tracks"
_TAIL_FRAMES = 10


def track_data(parts: Iterable[ObjectPlane], time: int) -> NDArray[np.float64]:
    """Return the rows of a tracks layer: one per object and frame, in the middle of the object's box.

    Parameters
    ----------
    parts : iterable of ObjectPlane
        What lies on each plane of each object.
    time : int
        Which leading axis is time.

    Returns
    -------
    ndarray of float
        (N, 2 + leading axes + 1): id of the object, the index along each leading axis, y and x, sorted by id and time.
        Of an object on several depth planes of a frame the position is the mean, weighted by area.

    Examples
    --------
    >>> from napari_sam.engine.geometry import Box
    >>> from napari_sam.io.labels.journal.rows import ObjectPlane
    >>> track_data([ObjectPlane(7, (3,), 4, Box(10, 20, 12, 22))], 0).tolist()
    [[7.0, 3.0, 10.5, 20.5]]
    """
    sums: dict[tuple[int, int], NDArray[np.float64]] = {}
    areas: dict[tuple[int, int], float] = {}
    for part in parts:
        y0, x0, y1, x1 = part.box
        position = np.array([*part.plane, (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2])
        key = part.label, part.plane[time]
        area = float(max(part.area_px, 1))
        sums[key] = sums.get(key, np.zeros(len(position))) + area * position
        areas[key] = areas.get(key, 0.0) + area
    rows = [(key[0], *(sums[key] / areas[key])) for key in sorted(sums)]
    return np.array(rows, dtype=float) if rows else np.zeros((0, 0))


def lineage_graph(parents: Mapping[int, int | None], labels: Iterable[int]) -> dict[int, list[int]]:
    """Return the graph of a tracks layer: the parent of each object that has one, both among `labels`.

    >>> lineage_graph({1: None, 2: 1, 3: 1, 4: 9}, [1, 2, 3, 4])
    {2: [1], 3: [1]}
    """
    present = set(labels)
    return {
        child: [parent]
        for child, parent in parents.items()
        if parent is not None and child in present and parent in present
    }


def show_tracks(
    viewer: ViewerModel,
    image: ImageLayer,
    layer: Tracks | None,
    data: NDArray[np.float64],
    graph: dict[int, list[int]],
) -> Tracks | None:
    """Show tracks, on the layer that shows them already if there is one; return the layer, None without tracks.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer to add the layer to.
    image : napari.layers.Image
        Image that the tracks lie on.
    layer : napari.layers.Tracks or None
        Layer in the viewer that shows earlier tracks.
    data : ndarray
        As `track_data` returns it.
    graph : dict
        As `lineage_graph` returns it.
    """
    if not len(data):
        if layer is not None:
            viewer.layers.remove(layer)
        return None
    if layer is not None:
        layer.graph = {}  # of ids that may be gone
        layer.data = data
        layer.graph = graph
        return layer
    made = Tracks(
        data,
        graph=graph,
        name=f"{image.name} {TRACKS_NAME}",
        tail_length=_TAIL_FRAMES,
        head_length=0,
        **placement(image),
    )
    insert_unselected(viewer, len(viewer.layers), made)
    return made
