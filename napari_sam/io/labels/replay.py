"""A label store's history as a Python script that makes the same objects again."""

from __future__ import annotations

import base64
import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.labels.label_store import LabelStore

_HEAD = '''"""Makes the objects of {name} again: {count} changes, written by napari-sam-xl {version}.

Usage: python {script} [IMAGE [OUT.ome.zarr]]
"""

import sys

import numpy as np

import napari_sam as ns
from napari_sam.engine.automatic.grid_filters import GridSettings
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.windows import Hints, Window
from napari_sam.io.labels.prediction_records import earlier_prediction
from napari_sam.io.labels.run_length import decode_mask, labels_from_text
from src_models.watershed_settings import WatershedSettings

out = sys.argv[2] if len(sys.argv) > 2 else {out!r}
try:
    image = ns.open_image(sys.argv[1] if len(sys.argv) > 1 else {image!r})
    labels = ns.LabelStore.create(out, like=image, shape={shape!r})
except ns.errors.NapariSamError as error:
    sys.exit(f"{{error}} (usage: python {script} [IMAGE [OUT.ome.zarr]])")
'''


def to_script(store: LabelStore, name: str = "replay.py") -> str:
    """Every change that stands, as Python: prompts are asked again, drawings are repeated, undone changes left out.

    Parameters
    ----------
    store : LabelStore
        What to replay.
    name : str
        What the script's usage calls it.

    Returns
    -------
    str
        A program; it takes the image and the store to make as optional arguments.
    """
    image = store.meta("image") or {}
    ops: list[tuple[int, str, dict[str, Any]]] = [
        (int(op), str(kind), json.loads(record))
        for op, kind, record in store.rows_of("SELECT id, kind, record FROM ops WHERE state = 'done' ORDER BY id")
    ]
    out = store.path.name
    values = {
        "name": _plain(out),
        "count": len(ops),
        "version": version("napari-sam-xl"),
        "script": _plain(name),
        "image": image.get("uri") or "IMAGE",
        "out": out.removesuffix(".ome.zarr") + "-replayed.ome.zarr",
        "shape": store.shape,
    }
    lines = [_HEAD.format(**values)]
    models: list[str] = []
    now: tuple[str, str] | None = None
    for op, kind, record in ops:
        if kind != "commit":
            lines += _other(store, op, kind, record)
            continue
        if record["model"] not in models:
            models.append(record["model"])
            lines.append(f"predictor_{len(models) - 1} = ns.Predictor({record['model']!r})\n")
        predictor = f"predictor_{models.index(record['model'])}"
        seen = (
            f"image.with_plane({tuple(record['plane'])!r}, {tuple(record['channels'])!r})"
            if record["channels"]
            else "image"
        )
        source = f"{predictor}.set_source({seen}, {_normalisation(record['normalisation'])})\n"
        if (predictor, source) != now:
            lines.append(source)
            now = (predictor, source)
        lines += _commit(record, predictor, _plane(store, op))
    lines.append("\nprint(labels.table().to_string())\nlabels.close()\n")
    return "".join(lines)


def _commit(record: dict[str, Any], predictor: str, plane: tuple[int, ...]) -> Iterator[str]:
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
    label = record.get("label")
    rest = f"label={label!r}, overlap={record['overlap']!r}, category={record['category']!r}"
    yield f"labels.commit(p, {rest}, candidate={record['candidate']!r}{f', plane={plane!r}' if plane else ''})\n"


def _other(store: LabelStore, op: int, kind: str, record: dict[str, Any]) -> Iterator[str]:
    calls = {
        "erase": "labels.erase({label!r})\n",
        "merge": "labels.merge({labels!r}, into={into!r})\n",
        "relabel": "labels.relabel({label!r}, {new!r})\n",
        "category": "labels.set_category({label!r}, {category!r})\n",
        "review": "labels.review({label!r}, {verdict!r})\n",
    }
    if kind == "everything":
        yield from _everything(record)
        return
    if kind in calls:
        yield calls[kind].format(**record)
        return
    for patch in store.patches_of(op):  # drawn by hand, or cut along a line: exactly these pixels
        text = base64.b64encode(patch.after).decode()
        plane = f", plane={patch.plane!r}" if patch.plane else ""
        what = {"split": "cut", "commits": "prompts"}.get(kind, kind)
        yield f"labels.paint(labels_from_text({text!r}), {patch.box[:2]!r}, kind={what!r}{plane})\n"
    if kind == "commits":
        objects = [{**record["shared"], **one} for one in record["objects"]]
        named = [(r["label"], r["category"]) for r in objects if r.get("category") is not None]
        yield f"for label, category in {named!r}:\n    labels.set_category(label, category)\n" if named else ""
    if kind == "split" and record.get("category") is not None:
        for label in record["parts"][1:]:
            yield f"labels.set_category({label!r}, {record['category']!r})\n"


def _everything(record: dict[str, Any]) -> Iterator[str]:
    """A whole run of everything-mode: its first change describes it, those of its tiles follow from it."""
    if "first_label" not in record:
        return
    call = {name: record["call"][name] for name in sorted(record["call"]) if record["call"][name] is not None}
    seen = f"image.with_plane({tuple(record['plane'])!r}, {tuple(record['channels'])!r})"
    yield f"everything = ns.Predictor({record['model']!r})\n"
    yield f"everything.set_source({seen}, {_normalisation(record['normalisation'])})\n"
    rest = "".join(f", {name}={_value(name, value)}" for name, value in call.items())
    yield f"ns.segment_everything({seen}, everything, labels{rest})\n"


def _value(name: str, value: Any) -> str:
    """A setting as Python."""
    kinds = {"grid": "GridSettings", "watershed": "WatershedSettings"}
    if name in kinds:
        return f"{kinds[name]}(**{value!r})"
    return repr(tuple(value) if name == "region" else value)


def _plain(name: str) -> str:
    """A name that may stand in a docstring."""
    return re.sub(r"[^\w .()+-]", "_", name)


def _normalisation(record: dict[str, Any]) -> str:
    return f"Normalisation({tuple(record['low'])!r}, {tuple(record['high'])!r})"


def _plane(store: LabelStore, op: int) -> tuple[int, ...]:
    return next((patch.plane for patch in store.patches_of(op)), ())
