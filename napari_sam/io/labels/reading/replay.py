"""Write the history of a label store as a Python script that makes the same objects again."""

from __future__ import annotations

import base64
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.labels.journal.rows import JournaledChange, Plane, Record
    from napari_sam.io.labels.reading.store_view import StoreView

_HEAD = '''"""Makes the objects of {name} again: {count} changes, written by napari-sam-xl {version}.

Usage: python {script} [IMAGE [OUT.ome.zarr]]
"""

import sys

import numpy as np

import napari_sam as ns
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.windows import Hints, Window
from napari_sam.io.labels.journal.prediction_records import earlier_prediction
from napari_sam.io.labels.journal.run_length import decode_mask, labels_from_text
from src_models.watershed_settings import WatershedSettings

out = sys.argv[2] if len(sys.argv) > 2 else {out!r}
try:
    image = ns.open_image(sys.argv[1] if len(sys.argv) > 1 else {image!r})
    labels = ns.LabelStore.create(out, like=image, shape={shape!r})
except ns.errors.NapariSamError as error:
    sys.exit(f"{{error}} (usage: python {script} [IMAGE [OUT.ome.zarr]])")
'''


def to_script(store: StoreView, name: str = "replay.py") -> str:
    """Return a Python script with all changes in effect.

    Prompts are predicted again, drawings are repeated.

    Parameters
    ----------
    store : LabelStore
        The labels.
    name : str
        File name of the script, for its usage line.

    Returns
    -------
    str
        The script, which takes the image and the store to make as optional arguments.
    """
    changes = store.journal.changes.in_effect()
    store_name = store.path.name
    values = {
        "name": _plain(store_name),
        "count": len(changes),
        "version": version("napari-sam-xl"),
        "script": _plain(name),
        "image": (store.meta("image") or {}).get("uri") or "IMAGE",
        "out": store_name.removesuffix(".ome.zarr") + "-replayed.ome.zarr",
        "shape": store.shape,
    }
    lines = [_HEAD.format(**values)]
    models: list[str] = []
    current: tuple[str, str] | None = None
    for change in changes:
        if change.kind != "commit":
            lines += _other_change(store, change)
            continue
        record = change.record
        if record["model"] not in models:
            models.append(record["model"])
            lines.append(f"predictor_{len(models) - 1} = ns.Predictor({record['model']!r})\n")
        predictor = f"predictor_{models.index(record['model'])}"
        source = f"{predictor}.set_source({_image(record)}, {_normalisation(record['normalisation'])})\n"
        if (predictor, source) != current:
            lines.append(source)
            current = (predictor, source)
        lines += _commit(record, predictor, _plane(store, change.op))
    lines.append("\nprint(labels.table().to_string())\nlabels.close()\n")
    return "".join(lines)


def _commit(record: Record, predictor: str, plane: Plane) -> Iterator[str]:
    prompt = record["prompt"]
    arguments = [f"{key}={prompt[key]!r}" for key in ("points", "point_labels") if key in prompt]
    if "box" in prompt:
        arguments.append(f"box={tuple(prompt['box'])!r}")
    if "mask" in prompt:
        mask = prompt["mask"]
        arguments.append(f"mask=MaskPrompt(decode_mask({mask['runs']!r}), {tuple(mask['bbox'])!r})")
    elif "logits" in prompt:
        arguments.append(f"mask=earlier_prediction({prompt['logits']!r}, {prompt['earlier']!r})")
    hints = ", ".join(f"{key}={value!r}" for key, value in record["hints"].items() if value)
    arguments.append(f"multimask={record['multimask']!r}")
    if hints:
        arguments.append(f"hints=Hints({hints})")
    if record["refine"] is not None:
        arguments.append(f"refine={record['refine']!r}")
    yield f"p = {predictor}.predict({', '.join(arguments)})\n"
    rest = f"label={record.get('label')!r}, overlap={record['overlap']!r}, category={record['category']!r}"
    yield f"labels.commit(p, {rest}, candidate={record['candidate']!r}{f', plane={plane!r}' if plane else ''})\n"


def _other_change(store: StoreView, change: JournaledChange) -> Iterator[str]:
    calls = {
        "erase": "labels.erase({label!r})\n",
        "merge": "labels.merge({labels!r}, into={into!r})\n",
        "relabel": "labels.relabel({label!r}, {new!r})\n",
        "category": "labels.set_category({label!r}, {category!r})\n",
        "review": "labels.review({label!r}, {verdict!r})\n",
    }
    kind, record = change.kind, change.record
    if kind == "everything":
        yield from _everything(record)
        return
    if kind in calls:
        yield calls[kind].format(**record)
        return
    for patch in store.journal.changes.patches(change.op):  # drawn by hand, or cut along a line: exactly these pixels
        text = base64.b64encode(patch.after).decode()
        plane = f", plane={patch.plane!r}" if patch.plane else ""
        name = {"split": "cut", "commits": "prompts"}.get(kind, kind)
        yield f"labels.paint(labels_from_text({text!r}), {tuple(patch.box[:2])!r}, kind={name!r}{plane})\n"
    if kind == "commits":
        objects = [{**record["shared"], **entry} for entry in record["objects"]]
        categories = [(entry["label"], entry["category"]) for entry in objects if entry.get("category") is not None]
        if categories:
            yield f"for label, category in {categories!r}:\n    labels.set_category(label, category)\n"
    if kind == "split" and record.get("category") is not None:
        for label in record["parts"][1:]:
            yield f"labels.set_category({label!r}, {record['category']!r})\n"


def _everything(record: Record) -> Iterator[str]:
    """Write a whole-image run, which its first change describes; the changes of its tiles follow from that."""
    if "first_label" not in record:
        return
    call = {name: record["call"][name] for name in sorted(record["call"]) if record["call"][name] is not None}
    image = f"image.with_plane({tuple(record['plane'])!r}, {tuple(record['channels'])!r})"
    yield f"everything = ns.Predictor({record['model']!r})\n"
    yield f"everything.set_source({image}, {_normalisation(record['normalisation'])})\n"
    rest = "".join(f", {name}={_value(name, value)}" for name, value in call.items())
    yield f"ns.segment_everything({image}, everything, labels{rest})\n"


def _image(record: Record) -> str:
    """Return an expression for the plane and channels that were segmented."""
    if not record["channels"]:
        return "image"
    return f"image.with_plane({tuple(record['plane'])!r}, {tuple(record['channels'])!r})"


def _value(name: str, value: object) -> str:
    """Return a setting as Python."""
    kinds = {"grid": "GridSettings", "watershed": "WatershedSettings"}
    if name in kinds:
        return f"{kinds[name]}(**{value!r})"
    return repr(tuple(value) if isinstance(value, list) and name == "region" else value)


def _plain(name: str) -> str:
    """Return a name that may stand in a docstring."""
    return re.sub(r"[^\w .()+-]", "_", name)


def _normalisation(record: Record) -> str:
    return f"Normalisation({tuple(record['low'])!r}, {tuple(record['high'])!r})"


def _plane(store: StoreView, op: int) -> Plane:
    return next((patch.plane for patch in store.journal.changes.patches(op)), ())
