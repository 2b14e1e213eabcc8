"""Write the accepted objects of a project as a data set."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
import tifffile
from PIL import Image as PillowImage

from napari_sam.errors import ImageError, NapariSamError, ProjectError, SettingsError
from napari_sam.io.images.transcode import transcode
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.projects.image_entry import FINISHED
from napari_sam.io.table_cells import plain_cells
from napari_sam.project.dataset.coco_file import CocoFile
from napari_sam.project.dataset.data_card import DataCard
from napari_sam.project.labelled_parts import labelled_parts
from napari_sam.project.training.training_pairs import accepted_objects
from src_models.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject
    from napari_sam.project.labelled_parts import LabelledPart
    from napari_sam.project.project_image import ProjectImage

FORMATS = ("pairs", "coco", "ome-zarr")
_TILE_PX = 2048
_LABELS = "objects"


@dataclass(frozen=True)
class DatasetReport:
    """Result of exporting a project.

    Attributes
    ----------
    path : Path
        Folder of the data set.
    images, pictures, objects : int
        Number of images of the project, of pictures or parts of pictures that they became, and of objects.
    failed : dict of str to str
        Why images were left out that have accepted objects.
    notes : tuple of str
        What may be a mistake.
    """

    path: Path
    images: int
    pictures: int
    objects: int
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def export_dataset(
    images: Sequence[ProjectImage],
    path: Path,
    formats: Sequence[str] = ("pairs",),
    *,
    name: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> DatasetReport:
    """Write the accepted objects of images as a data set with a card; the folder appears when it is complete.

    Parameters
    ----------
    images : sequence of ProjectImage
        Images of a project; those without accepted objects are left out.
    path : Path
        A new or empty folder.
    formats : sequence of {"pairs", "coco", "ome-zarr"}
        "pairs" are pictures with label images, which `napari-sam train` reads; "coco" one instances file, also of
        pictures; "ome-zarr" whole images with all channels and planes, and their labels.
    name : str
        Name of the data set; that of the folder by default.
    progress : callable, optional
        Called with the number of images done and their total.

    Raises
    ------
    ProjectError
        If no image has accepted objects, or the folder is not empty or cannot be written.
    SettingsError
        If a format is unknown.
    """
    chosen = _check(path, formats)
    usable = [(image, accepted) for image in images if (accepted := accepted_objects(image))]
    if not usable:
        raise ProjectError(
            f"none of {len(images)} images has accepted objects",
            remedy="draw or accept objects, or set images to done, whose objects all count",
        )
    usable, notes = _without_twins(usable)
    try:
        if path.is_dir():
            path.rmdir()  # empty
        with replacing(path) as partial:
            dataset = _Dataset(partial, chosen, name or path.name)
            for number, (image, accepted) in enumerate(usable, 1):
                dataset.add(image, accepted)
                if progress is not None:
                    progress(number, len(usable))
            dataset.finish()
    except OSError as error:
        raise ProjectError(
            f"{path}: cannot be written ({error.strerror or error})", remedy="free some space, or choose another folder"
        ) from error
    kinds = sorted({image.entry.kind for image, _ in usable})
    if len(kinds) > 1:
        notes.append(f"images of different kinds ({', '.join(kinds)}); one model rarely suits all of them")
    counts = (len(dataset.images), dataset.pictures, len(dataset.objects))
    return DatasetReport(path, *counts, failed=dataset.failed, notes=tuple(notes))


def _check(path: Path, formats: Sequence[str]) -> tuple[str, ...]:
    unknown = [word for word in formats if word not in FORMATS]
    if unknown or not formats:
        raise SettingsError(
            f"format is {unknown[0] if unknown else 'missing'!r}",
            parameter="format",
            remedy=f"choose from {', '.join(FORMATS)}",
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ProjectError(f"{path} is not empty", parameter="out", remedy="give a new or empty folder")
    return tuple(word for word in FORMATS if word in formats)


def _without_twins(
    usable: list[tuple[ProjectImage, frozenset[int]]],
) -> tuple[list[tuple[ProjectImage, frozenset[int]]], list[str]]:
    """Keep of images with the same pixels, which have a label store each, the one that is farthest."""
    kept: dict[str, tuple[ProjectImage, frozenset[int]]] = {}
    notes = []
    for image, accepted in sorted(usable, key=lambda pair: (pair[0].state not in FINISHED, -len(pair[1]))):
        twin = kept.setdefault(image.entry.fingerprint, (image, accepted))[0]
        if twin is not image:
            notes.append(f"{image.name} has the same pixels as {twin.name}, and is left out: {twin.name} is farther")
    order = {image.image_id: number for number, (image, _) in enumerate(usable)}
    return sorted(kept.values(), key=lambda pair: order[pair[0].image_id]), notes


class _Dataset:
    """Writes the images of a data set one after another."""

    def __init__(self, folder: Path, formats: tuple[str, ...], name: str) -> None:
        self._folder, self._formats = folder, formats
        self._card, self._coco = DataCard(name), CocoFile(f"{name}: objects of a project of napari-sam-xl")
        self._names: set[str] = set()
        self.images: list[JsonObject] = []
        self.objects: list[JsonObject] = []
        self.failed: dict[str, str] = {}
        self.pictures = 0
        folder.mkdir()

    def add(self, image: ProjectImage, accepted: frozenset[int]) -> None:
        """Add an image; why it cannot be read is noted."""
        name, rows, before, error = self._name(image), {}, self.pictures, ""
        try:
            rows = _sources(image, accepted)
            if "ome-zarr" in self._formats:
                self._write_zarr(image, accepted, name)
            for part in labelled_parts(image, accepted, _TILE_PX):
                self._add_part(image, part, name, rows)
        except NapariSamError as problem:
            self.failed[image.entry.source] = error = str(problem)
        if self.pictures > before:  # parts that were written before one could not be read are whole
            self.objects += [{"image": name, **row} for row in rows.values()]
            complete = image.state in FINISHED and not error
            self.images.append({"name": name, **image.row(), "complete": complete, "exported": len(accepted)})

    def finish(self) -> None:
        """Write what describes the whole.

        Raises
        ------
        ProjectError
            If no image could be read.
        """
        if not self.images:
            place, reason = next(iter(self.failed.items()))
            raise ProjectError(
                f"none of {len(self.failed)} images can be read, such as {place}: {reason}",
                remedy="name the new folder of moved images: project relocate",
            )
        images, objects = pd.DataFrame(self.images), pd.DataFrame(self.objects)
        for table, file in ((images, "images.csv"), (objects, "objects.csv")):
            plain_cells(table).to_csv(self._folder / file, index=False)
        if "coco" in self._formats:
            self._coco.write(self._folder / "instances.json")
        self._card.write(self._folder, images, objects, self._formats)

    def _name(self, image: ProjectImage) -> str:
        """Return a name that no other image of the data set has."""
        stem = re.sub(r"(\.ome)?\.[A-Za-z0-9]{1,8}$", "", image.name)
        name = re.sub(r"[^\w.-]+", "-", stem).strip(".-")[:80] or image.image_id
        if name.casefold() in self._names:
            name = f"{name}-{image.image_id[:12]}"
        self._names.add(name.casefold())
        return name

    def _add_part(self, image: ProjectImage, part: LabelledPart, name: str, rows: dict[int, JsonObject]) -> None:
        is_whole = part.box[:2] == (0, 0) and part.labels.shape == tuple(image.entry.shape)
        where = ([] if not part.plane else ["p", *map(str, part.plane)]) + (
            [] if is_whole else [f"y{part.box[0]}", f"x{part.box[1]}"]
        )
        picture = "-".join([name, *where])
        self.pictures += 1
        self._card.add(picture, part.labels, image.entry.groups)
        if "pairs" in self._formats or "coco" in self._formats:
            target = self._folder / "images" / f"{picture}.png"
            target.parent.mkdir(exist_ok=True)
            PillowImage.fromarray(part.pixels).save(target)
        if "pairs" in self._formats:
            target = self._folder / "labels" / f"{picture}.tif"
            target.parent.mkdir(exist_ok=True)
            tifffile.imwrite(target, part.labels, compression="zlib")
        if "coco" in self._formats:
            sources = {label: {key: row[key] for key in _ANNOTATED if row.get(key)} for label, row in rows.items()}
            about: JsonObject = {"source": image.entry.source, **image.entry.groups}
            self._coco.add(f"images/{picture}.png", part.labels, sources, about)

    def _write_zarr(self, image: ProjectImage, accepted: frozenset[int], name: str) -> None:
        """Write a whole image with its labels."""
        opened = image.open()
        with LabelStore.open(image.labels_path, "r") as store:
            planes = tuple(size for size in opened.plane_axes.values() if size > 1)
            if planes and len(store.shape) == 2:
                raise ImageError(
                    f"{image.name}: its labels are of one plane of a stack", remedy="export it as {format} pairs"
                )
            target = self._folder / "zarr" / f"{name}.ome.zarr"
            target.parent.mkdir(exist_ok=True)
            try:
                transcode(opened, target)
            except NapariSamError:
                shutil.rmtree(target, ignore_errors=True)
                raise
            (target / "labels").mkdir()
            store.export(target / "labels" / _LABELS, format="zarr", labels=sorted(accepted))
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", "labels": [_LABELS]}}}
        (target / "labels" / "zarr.json").write_text(json.dumps(group), encoding="utf-8")


_ANNOTATED = ("category", "stage", "by", "model", "predicted_iou")


def _sources(image: ProjectImage, accepted: frozenset[int]) -> dict[int, JsonObject]:
    """Return how each accepted object of an image came, by label."""
    with LabelStore.open(image.labels_path, "r") as store:
        table = store.provenance()
        categories = store.table().set_index("label")["category"]
    table = table[table["label"].isin(accepted)].drop_duplicates("label")
    table = table.assign(category=table["label"].map(categories))
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {int(row["label"]): {str(name): value for name, value in row.items()} for row in rows}
