"""The data formats that the paper's data sets come in, found by what is there."""

from __future__ import annotations

import csv
import glob
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.coco_format import coco_samples
from napari_sam.evaluation.datasets.labelled_samples import (
    GroundTruth,
    Sample,
    TrueObject,
    file_identity,
    object_from_mask,
    truth_from_labels,
)
from src_models.training.data.datasets import (
    checked_labels,
    folder_pairs,
    looks_like_dataset,
    read_dataset,
    read_picture,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_BSDS_PLACES = (".", "data", "BSDS500/data", "BSR/BSDS500/data")
_LABELS, _BOUNDARIES = ".labels.tif", ".gt.npz"


def find_samples(
    path: str | Path,
    form: str = "auto",
    split: str = "dev",
    only: Sequence[str] | None = None,
    notes: list[str] | None = None,
) -> list[Sample]:
    """The labelled images of a file or folder.

    Parameters
    ----------
    path : str or Path
        What was downloaded.
    form : str
        One of `FORMATS`; "auto" tells it from what is there.
    split : str
        Which part, where there are folders for it.
    only : sequence of str, optional
        Data sets to keep.
    notes : list of str, optional
        Gets what was left out and why, such as an image without labels.

    Returns
    -------
    list of Sample
        Sorted by data set and name.

    Raises
    ------
    EvaluationError
        If there is nothing of this format, no labelled image, or a data set asked for is not there.
    TrainingError
        If files are broken.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise EvaluationError(f"{root}: no such file or folder")
    if form not in FORMATS:
        raise EvaluationError(f"format {form!r}: give one of {', '.join(FORMATS)}")
    name = _recognised(root, split) if form == "auto" else form
    samples = FORMATS[name](root, split, [] if notes is None else notes)
    if not samples:
        raise EvaluationError(f"{root}: no labelled image of format {name}; {_EXPECTED[name]}")
    there = sorted({one.dataset for one in samples})
    if missing := sorted(set(only or ()) - set(there)):
        raise EvaluationError(f"data set {missing[0]!r} is not under {root}; there are {', '.join(there)}")
    return [one for one in samples if not only or one.dataset in only]


def _recognised(root: Path, split: str) -> str:
    """The format of what is there."""
    if root.is_file():
        if root.suffix.lower() in (".json", ".npz"):
            return "coco" if root.suffix.lower() == ".json" else "tissuenet"
        raise EvaluationError(f"{root}: not labelled images; give a folder, a COCO .json or a TissueNet .npz")
    if any((root / place / "groundTruth").is_dir() for place in _BSDS_PLACES):
        return "bsds"
    if _collection(root, split):
        return "collection"
    if (root / "journal.sqlite").exists() or any(root.glob("*.sqlite")):
        return "labelstore"
    if any(True for _ in root.glob("*/masks/*.png")) and any(True for _ in root.glob("*/images/*.png")):
        return "dsb2018"
    if any(root.glob(f"*{_LABELS}")) or looks_like_dataset(root):
        return "pairs"
    if not any(root.iterdir()):
        raise EvaluationError(f"{root}: the folder is empty; give one with labelled images")
    inner = sorted(p.name for p in root.iterdir() if p.is_dir())[:3]
    files = sorted(str(p) for p in root.rglob("*.json"))[:1]
    hint = f"; did you mean {files[0]}?" if files else f"; it holds {', '.join(inner)}" if inner else ""
    raise EvaluationError(f"{root}: no labelled images, nor DATASET/{split}/NAME{_LABELS}; give --split{hint}")


def _collection(root: Path, split: str) -> list[Path]:
    """The folders DATASET/SPLIT of a root, and the root itself where it is one."""
    found = [f for f in sorted(root.glob(f"*/{split}")) if any(f.glob(f"*{_LABELS}")) or any(f.glob(f"*{_BOUNDARIES}"))]
    own = [root] if any(root.glob(f"*{_LABELS}")) or any(root.glob(f"*{_BOUNDARIES}")) else []
    return own or found


def _collection_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """Data sets as DATASET/SPLIT/NAME.image.* with NAME.labels.tif or NAME.gt.npz, and an INDEX.csv above them."""
    folders = _collection(root, split)
    out = []
    for folder in folders:
        dataset = folder.resolve().name if folder == root and folder.name != split else folder.resolve().parent.name
        about = _index(folder if folder == root else root)
        for labels in sorted(folder.glob(f"*{_LABELS}")):
            name = labels.name.removesuffix(_LABELS)
            image = next(iter(sorted(folder.glob(f"{glob.escape(name)}.image.*"))), None)
            if image is not None:
                out.append(_pair(dataset, name, image, labels, about.get((dataset, name), {})))
            else:
                notes.append(f"{labels}: labels without an image")
        for drawn in sorted(folder.glob(f"*{_BOUNDARIES}")):
            name = drawn.name.removesuffix(_BOUNDARIES)
            image = next(
                (p for p in sorted(folder.glob(f"{glob.escape(name)}.*")) if p.suffix in (".jpg", ".png")), None
            )
            if image is not None:
                read = partial(_packed_boundaries, drawn)
                identity = file_identity(image, drawn)
                groups = {"dataset": dataset, **about.get((dataset, name), {})}
                out.append(Sample(dataset, name, image, read, identity=identity, kind="boundaries", groups=groups))
    return out


def _index(root: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Groups of each sample from an INDEX.csv in the folder or up to three above it."""
    place = next(
        (p / "INDEX.csv" for p in (root, *list(root.resolve().parents)[:3]) if (p / "INDEX.csv").exists()), None
    )
    if place is None:
        return {}
    with place.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"dataset", "sample"} <= rows[0].keys():
        return {}
    kept = ("modality", "dtype", "channels")
    return {(row["dataset"], row["sample"]): {k: row[k] for k in kept if row.get(k)} for row in rows}


def _pair(dataset: str, name: str, image: Path, labels: Path, groups: dict[str, str]) -> Sample:
    known = {"dataset": dataset, **groups}
    return Sample(
        dataset, name, image, partial(_label_file, labels), identity=file_identity(image, labels), groups=known
    )


def _label_file(path: Path) -> GroundTruth:
    return truth_from_labels(checked_labels(read_picture(path, indices=True), str(path)))


def _pair_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """A folder of pairs (Cellpose, StarDist, ours), or an OME-Zarr with labels."""
    if any(root.glob(f"*{_LABELS}")):
        return _collection_samples(root, split, notes)
    if (root / "zarr.json").exists() or (root / ".zgroup").exists() or (root / ".zattrs").exists():
        pairs = _whole(root)
        identity = file_identity(*sorted(p for p in root.rglob("*") if p.is_file()))
        return [
            Sample(
                root.name,
                pair.name,
                None,
                partial(_part_labels, root, i),
                partial(_part_image, root, i),
                f"{root.resolve()}|{identity}",
                groups={"dataset": root.name},
            )
            for i, pair in enumerate(pairs)
        ]
    found = list(folder_pairs(root))
    if not found:
        read_dataset(root)  # says what is missing
    notes += [f"{i}: an image without labels" for _, i, k in found if i is not None and k is None]
    notes += [f"{k}: labels without an image" for _, i, k in found if i is None and k is not None]
    return [_pair(root.resolve().name, name, i, k, {}) for name, i, k in found if i is not None and k is not None]


@lru_cache(maxsize=1)
def _whole(root: Path) -> tuple[Any, ...]:
    return read_dataset(root).pairs


def _part_labels(root: Path, index: int) -> GroundTruth:
    return truth_from_labels(_whole(root)[index].labels)


def _part_image(root: Path, index: int) -> NDArray[Any]:
    image: NDArray[Any] = _whole(root)[index].image
    return image


def _packed_boundaries(path: Path) -> GroundTruth:
    """The .npz in which this project's data keep BSDS500: differences of segmentations, packed boundaries."""
    try:
        with np.load(path, allow_pickle=False) as file:
            packed, shape = file["boundaries_packed"], tuple(int(n) for n in file["shape"][:2])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EvaluationError(f"{path}: no boundaries of annotators: {error}; export it anew") from error
    drawn = np.unpackbits(packed, axis=2)[:, :, : shape[1]].astype(bool)
    return GroundTruth((drawn.shape[1], drawn.shape[2]), boundaries=drawn)


def _bsds_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """BSDS500 as Berkeley gives it: images/SPLIT/ID.jpg and groundTruth/SPLIT/ID.mat."""
    base = next((root / p for p in _BSDS_PLACES if (root / p / "groundTruth").is_dir()), None)
    if base is None:
        return []
    parts = sorted(p.name for p in (base / "groundTruth").iterdir() if p.is_dir())
    if split not in parts and parts:
        alias = {"dev": "val"}.get(split, split)
        if alias not in parts:
            raise EvaluationError(f"{base}: no split {split!r}; give --split {' or '.join(parts)}")
        split = alias
    out = []
    for drawn in sorted((base / "groundTruth" / split).glob("*.mat")):
        image = base / "images" / split / f"{drawn.stem}.jpg"
        if not image.exists():
            notes.append(f"{drawn}: boundaries without an image")
        else:
            read = partial(_matlab_boundaries, drawn)
            out.append(
                Sample(
                    "BSDS500",
                    drawn.stem,
                    image,
                    read,
                    identity=file_identity(image, drawn),
                    kind="boundaries",
                    groups={"dataset": "BSDS500"},
                )
            )
    return out


def _matlab_boundaries(path: Path) -> GroundTruth:
    from scipy.io import loadmat  # noqa: PLC0415 - only these files need it
    from scipy.io.matlab import MatReadError  # noqa: PLC0415

    try:
        cells = loadmat(path)["groundTruth"].ravel()
        drawn = np.stack([np.asarray(cell["Boundaries"][0, 0], bool) for cell in cells])
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError, MatReadError) as error:
        raise EvaluationError(f"{path}: not a BSDS500 ground truth: {error}; download it again") from error
    return GroundTruth((drawn.shape[1], drawn.shape[2]), boundaries=drawn)


def _dsb_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """DSB 2018 / BBBC038: ID/images/ID.png and one mask for each object in ID/masks."""
    out = []
    for folder in sorted(p for p in root.iterdir() if (p / "images").is_dir()):
        images = sorted((folder / "images").glob("*.png"))
        masks = sorted((folder / "masks").glob("*.png"))
        if images and masks:
            known = file_identity(images[0], *masks)
            read = partial(_mask_files, folder)
            out.append(Sample(root.name, folder.name, images[0], read, identity=known, groups={"dataset": root.name}))
        elif images:
            notes.append(f"{images[0]}: an image without masks")
    return out


def _mask_files(folder: Path) -> GroundTruth:
    objects: list[TrueObject] = []
    shape: tuple[int, int] | None = None
    for label, path in enumerate(sorted((folder / "masks").glob("*.png")), start=1):
        pixels = np.asarray(read_picture(path, indices=True), np.float64)
        if pixels.ndim == 3:  # without the alpha channel
            pixels = pixels[..., : {2: 1, 4: 3}.get(pixels.shape[-1], pixels.shape[-1])].max(-1)
        mask = pixels > 0
        if shape not in (None, mask.shape):
            raise EvaluationError(f"{path}: mask of shape {mask.shape} beside others of {shape}: all must be one")
        shape = (int(mask.shape[0]), int(mask.shape[1]))
        found = object_from_mask(label, mask, (0, 0))
        if found is not None:
            objects.append(found)
    if shape is None:
        raise EvaluationError(f"{folder}: no masks; give masks/*.png, one for each object")
    return GroundTruth(shape, tuple(objects))


def _tissuenet_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """TissueNet: an .npz with X (N, H, W, 2) and y (N, H, W, 2), whole cells and nuclei."""
    keys, (images, labels) = _tissuenet_head(root)
    if images[0] != labels[0] or images[1:3] != labels[1:3]:
        raise EvaluationError(f"{root}: X of shape {images} with y of shape {labels}: both must be of the same images")
    about = {k: keys[k] for k in ("tissue_list", "platform_list") if k in keys}
    out = []
    for i in range(images[0]):
        for layer, kind in enumerate(("cells", "nuclei")[: labels[3]]):
            groups = {"dataset": f"{root.stem} {kind}", "compartment": kind}
            groups |= {name.removesuffix("_list"): str(values[i]) for name, values in about.items() if len(values) > i}
            read = partial(_tissuenet_truth, root, i, layer)
            pixels = partial(_tissuenet_image, root, i)
            identity = f"{root.resolve()}|{file_identity(root)}"
            dataset = groups["dataset"]
            out.append(Sample(dataset, f"{i:05d}", None, read, pixels, f"{identity}|{i}|{layer}", groups=groups))
    return sorted(out, key=lambda one: (one.dataset, one.name))


def _tissuenet_head(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[tuple[int, ...], ...]]:
    """Small columns, and the shapes of images and labels."""
    images, labels = _tissuenet(path)
    columns: dict[str, NDArray[Any]] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in ("tissue_list", "platform_list"):
            if name in file.files:
                try:
                    columns[name] = file[name]
                except ValueError:  # pickled objects are left alone
                    continue
    return columns, (images.shape, labels.shape)


@lru_cache(maxsize=1)
def _tissuenet(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["X"], file["y"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EvaluationError(f"{path}: not TissueNet, an .npz with X and y: {error}; download it again") from error
    if images.ndim != 4 or labels.ndim != 4:
        raise EvaluationError(
            f"{path}: X of shape {images.shape} and y of shape {labels.shape}: give (N, H, W, C) each"
        )
    return images, labels


def _tissuenet_truth(path: Path, index: int, layer: int) -> GroundTruth:
    return truth_from_labels(checked_labels(np.asarray(_tissuenet(path)[1][index, ..., layer]), f"{path}: y[{index}]"))


def _tissuenet_image(path: Path, index: int) -> NDArray[np.uint8]:
    """Membrane green, nuclei blue, each scaled to its 1st and 99.9th percentile."""
    raw = np.asarray(_tissuenet(path)[0][index], np.float32)
    rgb = np.zeros((*raw.shape[:2], 3), np.uint8)
    for channel, to in zip(range(raw.shape[-1]), (2, 1), strict=False):  # nuclei come first
        low, high = np.percentile(raw[..., channel], (1, 99.9))
        rgb[..., to] = np.clip((raw[..., channel] - low) / max(high - low, 1e-6), 0, 1) * 255
    return rgb


def _store_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """The objects of a LabelStore, plane by plane; its image, if the store knows it."""
    from napari_sam.evaluation.datasets.label_store_format import store_samples  # noqa: PLC0415 - only stores need it

    return store_samples(root)


FORMATS: dict[str, Callable[[Path, str, list[str]], list[Sample]]] = {
    "auto": lambda root, split, notes: [],
    "collection": _collection_samples,
    "pairs": _pair_samples,
    "coco": coco_samples,
    "lvis": coco_samples,
    "livecell": coco_samples,
    "bsds": _bsds_samples,
    "dsb2018": _dsb_samples,
    "cellpose": _pair_samples,
    "tissuenet": _tissuenet_samples,
    "labelstore": _store_samples,
}
"""Names of formats, and what finds their samples in a path."""

_EXPECTED = {
    "auto": "",
    "collection": f"give the folder of DATASET/SPLIT/NAME.image.* with NAME{_LABELS}",
    "pairs": "give NAME.image.* with NAME.labels.tif, NAME.* or NAME_img.* with NAME_masks.*, or images/ and masks/",
    "coco": "give an instances .json beside its images",
    "lvis": "give lvis_v1_val.json beside its images",
    "livecell": "give livecell_coco_val.json beside its images",
    "bsds": "give the folder with images/SPLIT and groundTruth/SPLIT",
    "dsb2018": "give the folder with ID/images/ID.png and ID/masks/*.png",
    "cellpose": "give the folder with NAME_img.png and NAME_masks.png",
    "tissuenet": "give an .npz with X and y",
    "labelstore": "give the .ome.zarr of a LabelStore",
}
