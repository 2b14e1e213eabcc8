"""The objects of a `LabelStore` as ground truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.own_plane import open_own_image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def find_store_samples(path: Path) -> list[Sample]:
    """Return a sample for each plane of a label store that has objects.

    Raises
    ------
    StoreError
        If `path` is not a label store, or it is damaged.
    """
    with LabelStore.open(path, "r") as store:
        planes = store.journal.objects.planes()
        facts = {name: store.meta(name) for name in ("image", "shape")}
        changes = store.journal.last_log_entry()  # the file's time does not change with every edit
    image = facts["image"] or {}
    uri, dataset = image.get("uri"), path.resolve().name
    identity = f"{path.resolve()}|{changes}|{image.get('identity')}"
    samples = []
    for plane in planes:
        name = "/".join(["plane", *map(str, plane)]) if plane else "plane"
        read_image = None if plane or not uri else partial(_open, path, str(uri), facts)
        read_truth = partial(_read_objects, path, plane)
        key = f"{identity}|{name}"
        samples.append(Sample(dataset, name, None, read_truth, read_image, key, groups={"dataset": dataset}))
    return samples


def _open(path: Path, uri: str, facts: Mapping[str, Any]) -> NDArray[np.generic]:
    """Open the image of a store, if that needs no network: the journal may come from somebody else."""
    if "://" in uri or uri.startswith(("//", "\\\\")):
        raise EvaluationError(
            f"{path}: its image is {uri}, an address that the journal names and you did not",
            remedy="download the image, and segment that file into a store; only what you name yourself is fetched",
        )
    return open_own_image(uri, facts.get)  # type: ignore[return-value]  # a predictor accepts it like an array


def _read_objects(path: Path, plane: tuple[int, ...]) -> GroundTruth:
    with LabelStore.open(path, "r") as store:
        objects = []
        for part in store.journal.objects.of_plane(plane):
            mask, box = store.mask(part.label, plane)
            category = store.row(part.label).category or ""
            objects.append(TrueObject(part.label, mask, (box.y0, box.x0), category))
        return GroundTruth((store.shape[-2], store.shape[-1]), tuple(objects))
