"""The files and names that the examples of each page begin with, on small images."""

from __future__ import annotations

import contextlib
import inspect
import io
import shutil
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

import napari_sam as ns
from napari_sam import samples
from napari_sam.cli.parser import main
from src_models.checkpoints.registry import model_info

if TYPE_CHECKING:
    from collections.abc import Callable

CELL = (122, 182)
"""(y, x) of a nucleus that all images of cells here show."""


def crop():
    """Return a part of the sample image, with nine nuclei or parts of them."""
    return samples.nuclei()[:220, :300]


def truth():
    """Return the labels of that part, from 1."""
    labels = samples.nuclei_labels()[:220, :300]
    ids, numbers = np.unique(labels, return_inverse=True)
    return numbers.reshape(labels.shape).astype(np.uint16) if ids[0] == 0 else labels


def true_labels(folder, labels=None):
    """Write the true nuclei, or some of them, as a label image; return its path."""
    path = folder / "truth.tif"
    tifffile.imwrite(path, truth() if labels is None else np.where(np.isin(truth(), labels), truth(), 0))
    return str(path)


def cells(path, pixels=None):
    """Write an image with a pixel size."""
    pixels = crop() if pixels is None else pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = "YX" if pixels.ndim == 2 else "ZYX"
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": axes, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})


def small_cells(path):
    """Write a small image with three nuclei."""
    cells(path, crop()[60:170, 130:280])


def zarr_image(path):
    """Write an image as OME-Zarr with a pixel size."""
    source = path.parent / "source.tif"
    cells(source)
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["transcode", str(source), str(path)]) == 0
    source.unlink()


def scene(path):
    """Write an aerial image with map coordinates."""
    import rasterio
    from rasterio.transform import from_origin

    pixels = np.random.default_rng(0).integers(60, 90, (3, 200, 200)).astype(np.uint8)
    pixels[:, 20:90, 30:110] += 90
    pixels[:, 100:170, 40:120] += 60
    about = {"driver": "GTiff", "width": 200, "height": 200, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(
        path, "w", transform=from_origin(500_000, 5_400_000, 0.5, 0.5), photometric="RGB", **about
    ) as file:
        file.write(pixels)


def stack(axis):
    """Return a function that writes three planes with two disks, as OME-TIFF or OME-Zarr."""

    def write(path):
        y, x = np.mgrid[:96, :96]
        planes = [
            20 + 180 * ((y - 48) ** 2 + (x - 40 - z) ** 2 < 150) + 150 * ((y - 20) ** 2 + (x - 76) ** 2 < 90)
            for z in range(3)
        ]
        pixels = np.asarray(planes, np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path if path.suffix == ".tif" else path.parent / "source.ome.tif"
        about = {"axes": f"{axis}YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tifffile.imwrite(file, pixels, ome=True, metadata=about | ({"PhysicalSizeZ": 1.5} if axis == "Z" else {}))
        if file != path:
            with contextlib.redirect_stdout(io.StringIO()):
                assert main(["transcode", str(file), str(path)]) == 0

    return write


def store(path):
    """Make a label store with the true nuclei, numbered from 1, classes and an undone change."""
    image = path.parent / "image.tif"
    cells(image)
    with ns.LabelStore.create(path, like=str(image)) as labels:
        labels.import_(true_labels(path.parent))
        labels.set_category([1, 2], "nucleus")
        labels.erase(3)
        labels.undo()


def crude(path):
    """Write a label image with boxes around the nuclei."""
    labels = truth()
    boxes = np.zeros_like(labels)
    for label in range(1, int(labels.max()) + 1):
        rows, columns = np.nonzero(labels == label)
        boxes[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = label
    tifffile.imwrite(path, boxes)


def pairs(path):
    """Make a folder with one labelled image."""
    path.mkdir(parents=True)
    tifffile.imwrite(path / "a.image.tif", crop())
    labels = truth()
    tifffile.imwrite(path / "a.labels.tif", np.where(labels == 1, labels, 0))


def town(path):
    """Write an image of one tile of a tiny detector, which finds something everywhere."""
    cells(path, crop()[100:140, 160:200])


def concept(path):
    """Save a concept of nuclei."""
    image = path.parent / "examples.tif"
    cells(image)
    ns.Concept.from_examples(str(image), truth(), positive=[1, 2], negative=[3], name=path.stem).save(path)


def boxes(path):
    """Write a table of two boxes."""
    path.write_text("y0,x0,y1,x1\n93,157,149,206\n84,204,140,262\n")


def cellpose(path):
    """Write masks as Cellpose does."""
    np.save(path, {"masks": truth(), "outlines": truth()}, allow_pickle=True)


def weights(path):
    """Copy the default model."""
    path.parent.mkdir(parents=True)
    shutil.copy(model_info("default").path, path)


def folder_of_cells(path):
    """Make a folder with two small images."""
    small_cells(path / "a.tif")
    small_cells(path / "b.tif")


def cluster():
    """Stand in for dask-jobqueue: workers in this process instead of those of SLURM."""
    from distributed import LocalCluster

    class SLURMCluster(LocalCluster):
        def __init__(self, queue, processes, cores, memory, walltime, job_extra_directives, worker_extra_args):
            (resource,) = worker_extra_args
            name, _, count = resource.removeprefix("--resources ").partition("=")
            super().__init__(
                n_workers=1,
                processes=False,
                threads_per_worker=1,
                dashboard_address=None,
                resources={name: float(count)},
            )

        def scale(self, jobs):
            super().scale(1)

    module = types.ModuleType("dask_jobqueue")
    module.SLURMCluster = SLURMCluster
    sys.modules["dask_jobqueue"] = module


def launch_for(call):
    """Return what stands for ``ns.launch``, which tests/widgets/test_launch.py opens: it checks the arguments."""

    def launch(*args, **kwargs):
        inspect.signature(call).bind(*args, **kwargs)
        return "viewer", "dock"

    return launch


@dataclass(frozen=True)
class Page:
    """What the examples of a page begin with.

    Attributes
    ----------
    files : dict
        Functions that write files, by path.
    names : callable or None
        Makes the names that the text presupposes, for each block anew; takes its number.
    instead : dict
        Text of an example and what stands for it here: places on objects of the small images, fewer steps and planes,
        and the shipped model for those that would have to be downloaded.
    prepare : callable or None
        Runs first.
    """

    files: dict[str, Callable] = field(default_factory=dict)
    names: Callable | None = None
    instead: dict[str, str] = field(default_factory=dict)
    prepare: Callable | None = None


def open_store(path="cells.ome.zarr"):
    return {"labels": ns.LabelStore.open(path)}


def names_of_classes(block):
    if block == 0:  # it opens the store itself
        return {}
    lasso = [(0, 0), (0, 150), (150, 150), (150, 0)]
    labels = ns.LabelStore.open("cells.ome.zarr")
    if block == 1:
        labels.set_category({1: "cell", 2: "cell", 4: "debris", 5: "debris"})
    return {"labels": labels, "other_labels": ns.LabelStore.open("other.ome.zarr"), "lasso": lasso}


def names_of_find(_):
    return {"other_labels": truth(), "mitosis": ns.Concept.load("mitosis.concept")}


def names_of_large_images(_):
    predictor = ns.Predictor()
    predictor.set_image("cells.tif")

    def add_others(labels):
        labels.import_(true_labels(Path(), (3, 4, 5)))

    return {"predictor": predictor, "p": predictor.predict(points=[CELL]), "add_others": add_others}


def names_of_volumes(_):
    from napari_sam.io.tracks.track_table import make_tracks

    volume = (np.arange(4 * 8 * 8).reshape(4, 8, 8) % 5 == 0).astype(int)
    tracks = make_tracks({1: range(4)}, parents={})
    return {
        **open_store("measured.ome.zarr"),
        "true_volume": volume,
        "found_volume": volume,
        "true_tracks": tracks,
        "found_tracks": tracks,
        "true_movie": volume.clip(max=1),
        "found_movie": volume.clip(max=1),
    }


def names_of_journal(_):
    from napari_sam.engine.geometry import Box

    about = {"box": Box(0, 0, 50, 50), "plane": (), "run_id": "none", "score": None, "label": None}
    return {"store": ns.LabelStore.open("cells.ome.zarr"), **about}


def stack_store(path):
    """Make a label store of a stack, and its image beside it."""
    stack("Z")(path.parent / "stack.ome.tif")
    with ns.LabelStore.create(path, like=str(path.parent / "stack.ome.tif")) as labels:
        planes = (tifffile.imread(path.parent / "stack.ome.tif") > 100).astype(np.uint8)
        tifffile.imwrite(path.parent / "planes.tif", planes, ome=True, metadata={"axes": "ZYX"})
        labels.import_(str(path.parent / "planes.tif"))


SHIPPED = {'"vit_b"': '"default"'}
PAGES = {
    "README.md": Page(
        {"slide.ome.zarr": zarr_image},
        lambda _: {"launch": launch_for(ns.launch)},
        {"(1200, 3400)": str(CELL), "ns.launch(": "launch("},
    ),
    "docs/python.md": Page(
        {"cells.tif": cells, "slide.ome.zarr": zarr_image, "slide.tif": cells, "seen.ome.zarr": store},
        lambda _: {"launch": launch_for(ns.launch), **open_store("seen.ome.zarr")},
        {
            "ns.launch(": "launch(",
            "region=(2000, 3000, 4000, 5000)": "region=(20, 30, 200, 250)",
            'plane=(12,), image="stack.tif"': 'plane=(), image="cells.tif"',
        },
    ),
    "docs/quickstart.md": Page({"cells.tif": cells}),
    "docs/guides/fluorescence.md": Page({"cells.tif": cells}),
    "docs/guides/tissue.md": Page({"slide.ome.tif": cells}),
    "docs/guides/phase-contrast.md": Page({"cells.tif": cells}),
    "docs/guides/electron-microscopy.md": Page({"axons.tif": cells}),
    "docs/guides/fields-buildings.md": Page({"scene.tif": scene}),
    "docs/guides/refine.md": Page({"cells.tif": cells, "crude_labels.tif": crude}),
    "docs/guides/batch.md": Page({"images": folder_of_cells}),
    "docs/guides/measure-export.md": Page({"cells.tif": cells}),
    "docs/which-model.md": Page({"runs/mine/model.safetensors": weights}),
    "docs/file-formats.md": Page({"cells.ome.zarr": store, "nucleus.concept": concept}),
    "docs/faq.md": Page(),
    "docs/reference/python.md": Page(),
    "docs/reference/settings.md": Page(),
    "docs/classes.md": Page(
        {"cells.tif": cells, "other.tif": cells, "cells.ome.zarr": store, "other.ome.zarr": store},
        names_of_classes,
        {", plane=(4,)": "", "[3, 5, 8]": "[3, 5, 6]"},
    ),
    "docs/everything.md": Page(
        {"slide.ome.zarr": zarr_image, "boxes.csv": boxes},
        instead={
            **SHIPPED,
            "points_per_side=48": "points_per_side=3",
            '"out.ome.zarr", client': '"all.ome.zarr", client',
        },
        prepare=cluster,
    ),
    "docs/exports.md": Page(
        {"cells.tif": cells, "made.ome.zarr": store, "cells_seg.npy": cellpose},
        lambda _: open_store("made.ome.zarr"),
        {"labels=[3, 5, 8]": "labels=[3, 5, 6]"},
    ),
    "docs/find.md": Page(
        {
            "cells.tif": cells,
            "other.tif": cells,
            "zoomed.tif": small_cells,
            "images": folder_of_cells,
            "more/c.tif": small_cells,
            "slide.ome.zarr": zarr_image,
            "stack.tif": stack("Z"),
            "movie.tif": stack("T"),
            "mitosis.concept": concept,
        },
        names_of_find,
        {"[1, 7, 12]": "[1, 2]", "[3, 20]": "[3]"},
    ),
    "docs/large-images.md": Page(
        {"cells.tif": cells},
        names_of_large_images,
        {
            "labels.merge([1, 2])": "add_others(labels); labels.merge([1, 2])",
            "labels.split(7, [(1210, 3390), (1210, 3430)])": "labels.split(1, [(122, 182), (214, 98)])",
            "labels.array[1000:2000, 4000:5000]": "labels.array[100:200, 40:50]",
        },
    ),
    "docs/projects.md": Page(),
    "docs/text.md": Page(
        {"cells.ome.zarr": zarr_image, "town.tif": town},
        instead={"[(120, 340)]": f"[{CELL}]", "larger than 10 µm": "larger than 1 µm"},
    ),
    "docs/training.md": Page({"my_cells": pairs}, instead={"steps=600": "steps=1, batch=1, objects=1, crop_px=64"}),
    "docs/volumes.md": Page(
        {
            "measured.ome.zarr": stack_store,
            "stack.ome.zarr": stack("Z"),
            "movie.ome.zarr": stack("T"),
        },
        names_of_volumes,
        {
            "(31, 120, 88)": "(1, 48, 41)",
            "39, points=[(118, 90)]": "2, points=[(48, 42)]",
            "without(40)": "without(2)",
            'output="cells.ome.zarr")  # linked': 'output="all.ome.zarr")  # linked',
        },
    ),
    "docs/evaluation.md": Page({"my_data": pairs}),
    "docs/design/journal.md": Page({"cells.ome.zarr": store}, names_of_journal),
}
