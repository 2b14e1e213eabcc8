"""The beginning of a script: what it does, what it imports, and how it opens image and store."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.io.labels.reading.store_view import StoreView

_HOMES = {
    "GridSettings": "napari_sam",
    "MaskPrompt": "napari_sam",
    "WatershedSettings": "napari_sam",
    "Normalisation": "napari_sam.engine.normalisation",
    "Hints": "napari_sam.engine.windows",
    "earlier_prediction": "napari_sam.io.labels.journal.prediction_records",
    "decode_mask": "napari_sam.io.labels.journal.run_length",
    "labels_from_text": "napari_sam.io.labels.journal.run_length",
    "EverythingSettings": "napari_sam.jobs.job_settings",
}
"""Module of each name that the lines of changes use."""

_COMMAND = '''"""Makes the objects of {name} again: {changes}, written by napari-sam-xl {version}.

Usage: python {script} [IMAGE [OUT.ome.zarr]]
"""

import sys

{imports}
out = sys.argv[2] if len(sys.argv) > 2 else {out!r}
try:
    image = ns.open_image(sys.argv[1] if len(sys.argv) > 1 else {image!r})
    labels = ns.LabelStore.create(out, like=image, shape={shape!r})
except ns.errors.NapariSamError as error:
    sys.exit(f"{{error}} (usage: python {script} [IMAGE [OUT.ome.zarr]])")
'''
_ALL = """# Makes the objects of {name} again: {changes}, written by napari-sam-xl {version}.
{imports}
image = ns.open_image({image!r})
labels = ns.LabelStore.create({out!r}, like=image, shape={shape!r})
"""
_LAST = """# Repeats the last change of {name}, written by napari-sam-xl {version}.
# The store must be as it was before; to write a new one: ns.LabelStore.create("new.ome.zarr", like=image)
{imports}
image = ns.open_image({image!r})
labels = ns.LabelStore.open({path!r})
"""


def command_head(store: StoreView, body: str, count: int, script: str) -> str:
    """Return the head of a script with a command line, for lines that repeat `count` changes."""
    return _COMMAND.format(**_values(store, body, count), script=plain(script))


def snippet_head(store: StoreView, body: str, count: int, *, is_last: bool) -> str:
    """Return the head of lines to paste; those of the last change are for the store itself, others for a new one."""
    return (_LAST if is_last else _ALL).format(**_values(store, body, count))


def plain(name: str) -> str:
    """Return a name that may stand in a docstring or comment."""
    return re.sub(r"[^\w .()+-]", "_", name)


def _values(store: StoreView, body: str, count: int) -> dict[str, object]:
    name = store.path.name
    return {
        "name": plain(name),
        "count": count,
        "changes": f"{count} change{'s' * (count != 1)}",
        "version": version("napari-sam-xl"),
        "imports": _imports(body),
        "image": str((store.meta("image") or {}).get("uri") or "IMAGE"),
        "path": str(store.path.absolute()),
        "out": name.removesuffix(".ome.zarr") + "-replayed.ome.zarr",
        "shape": store.shape,
    }


def _imports(body: str) -> str:
    """Return the imports that some lines need."""
    lines = ["import napari_sam as ns"]
    modules: dict[str, list[str]] = {}
    for name, module in _HOMES.items():
        if re.search(rf"\b{name}\(", body):
            modules.setdefault(module, []).append(name)
    lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in modules.items()]
    return "\n".join(lines) + "\n"
