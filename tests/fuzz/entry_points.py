"""What reads files of others: how to make a sound file, and how to read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image as Picture

from napari_sam.io.images.open_image import open_image
from napari_sam.io.images.transcode import transcode
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (40, 48)


def read_image(path):
    """Open an image and read all of it."""
    image = open_image(path)
    height, width = (min(n, 64) for n in image.shape)
    image.read(0, 0, 0, height, width)


def use_store(path):
    """Open a store for writing, list it, change it, undo that."""
    with LabelStore.open(path) as store:
        store.table()
        store.history()
        if store.shape == SHAPE:
            store.paint(np.full((2, 2), 7), (1, 1))
            store.undo()


def read_as_prompts(path):
    """Read prompts for an image of 40 x 48 pixels, with masks where the source has them."""
    table = read_prompts(path, np.zeros(SHAPE, np.uint8), errors="skip")
    for i in range(min(len(table), 20)):
        table.keywords(i)


def import_objects(path):
    """Import objects into a new store beside the file."""
    with LabelStore.create(path.parent / "imported.ome.zarr", shape=SHAPE) as store:
        store.import_(path)


def import_stack(path):
    """Import objects of all frames into a new store beside the file."""
    with LabelStore.create(path.parent / "imported.ome.zarr", shape=(3, *SHAPE)) as store:
        store.import_(path)


def load_checkpoint(path):
    """Load a checkpoint."""
    from src_models import load_sam

    load_sam(path)


def _labels():
    labels = np.zeros(SHAPE, np.uint16)
    labels[4:10, 5:15], labels[20:30, 30:40] = 1, 2
    return labels


def _store(folder, name="s.ome.zarr"):
    path = folder / name
    with LabelStore.create(path, shape=SHAPE) as store:
        store.paint(_labels().astype(np.int64), (0, 0))
        store.set_category(1, "cell")
    return path


def _export(suffix):
    def make(folder):
        with LabelStore.open(_store(folder), "r") as store:
            return store.export(folder / f"o{suffix}")

    return make


def _tiff(folder):
    pixels = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    options = {"tile": (16, 16), "compression": "zlib", "metadata": {"axes": "YX", "PhysicalSizeX": 0.5}}
    tifffile.imwrite(folder / "i.ome.tif", pixels, ome=True, **options)
    return folder / "i.ome.tif"


def _picture(suffix):
    def make(folder):
        path = folder / f"i{suffix}"
        Picture.fromarray(np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)).save(path)
        return path

    return make


def _zarr(ngff):
    def make(folder):
        transcode(np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE), folder / "i.ome.zarr", ngff=ngff)
        return folder / "i.ome.zarr"

    return make


def _text(name, text):
    def make(folder):
        (folder / name).write_text(text)
        return folder / name

    return make


def _cellpose(folder):
    np.save(folder / "i_seg.npy", {"masks": _labels(), "filename": "i.tif"})
    return folder / "i_seg.npy"


def _checkpoint(folder):
    import torch
    from safetensors.torch import save_file

    save_file({"mask_decoder.iou_token.weight": torch.zeros(1, 256)}, folder / "c.safetensors")
    return folder / "c.safetensors"


def _torch_checkpoint(folder):
    import torch

    torch.save({"mask_decoder.iou_token.weight": torch.zeros(1, 256)}, folder / "c.pth")
    return folder / "c.pth"


BOXES = "y0,x0,y1,x1,category,score\n1,1,9,9,cell,0.5\n20,20,30,30,,\n"
VOC = (
    "<annotation><size><width>48</width><height>40</height></size><object><name>cell</name><bndbox><xmin>2</xmin>"
    "<ymin>3</ymin><xmax>9</xmax><ymax>12</ymax></bndbox></object></annotation>"
)
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "i.png", "height": 40, "width": 48}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [2, 2, 9, 9],
                "segmentation": [[2, 2, 11, 2, 11, 11, 2, 11]],
            }
        ],
    }
)
_SQUARE = [[2, 2, 11, 2, 11, 11, 2, 11]]
TAO = json.dumps(
    {
        "videos": [{"id": 1, "name": "v"}],
        "images": [{"id": i + 1, "video_id": 1, "frame_index": i} for i in range(3)],
        "tracks": [{"id": 5, "video_id": 1}, {"id": 6, "video_id": 1, "parent": 5}],
        "annotations": [
            {"image_id": i, "track_id": t, "bbox": [2, 2, 9, 9], "segmentation": _SQUARE} for i, t in ((1, 5), (2, 6))
        ],
    }
)
YOUTUBE_VIS = json.dumps(
    {
        "videos": [{"id": 1, "file_names": ["v/0.jpg", "v/1.jpg", "v/2.jpg"]}],
        "annotations": [
            {"id": 4, "video_id": 1, "segmentations": [_SQUARE, None, _SQUARE], "bboxes": [[2, 2, 9, 9], None, [2] * 4]}
        ],
    }
)

# name: (makes a sound file or folder, reads it)
ENTRY_POINTS = {
    "tiff": (_tiff, read_image),
    "png": (_picture(".png"), read_image),
    "jpeg": (_picture(".jpg"), read_image),
    "ome-zarr 0.5": (_zarr("0.5"), read_image),
    "ome-zarr 0.4": (_zarr("0.4"), read_image),
    "label store": (_store, use_store),
    "label store as image": (_store, read_image),
    "boxes": (_text("b.csv", BOXES), read_as_prompts),
    "yolo": (_text("y.txt", "0 0.5 0.5 0.2 0.1 0.9\n1 0.1 0.1 0.4 0.1 0.2 0.6\n"), read_as_prompts),
    "pascal voc": (_text("v.xml", VOC), read_as_prompts),
    "coco": (_text("c.json", COCO), import_objects),
    "coco of a video": (_text("c.json", TAO), import_stack),
    "youtube-vis": (_text("c.json", YOUTUBE_VIS), import_stack),
    "geojson": (_export(".geojson"), import_objects),
    "geojson as prompts": (_export(".geojson"), read_as_prompts),
    "rois": (_export(".zip"), import_objects),
    "label tiff": (_export(".tif"), import_objects),
    "cellpose": (_cellpose, import_objects),
    "safetensors": (_checkpoint, load_checkpoint),
    "torch": (_torch_checkpoint, load_checkpoint),
}


def files_of(path: Path) -> list[Path]:
    """Return the file, or the files of the folder."""
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
