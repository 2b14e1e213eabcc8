"""Make ``store_version_0_1.zip``: a label store of every kind of change, written by version 0.1 of the program.

The tests open it with the present version: it must migrate, show the same objects and pixels, and undo and redo.
Only the code of version 0.1 can run this script::

    git worktree add ../v01 13ceeec
    PYTHONPATH=../v01 python tests/io/labels/make_store_version_0_1.py

Beside the archive it writes ``store_version_0_1.json``: the table and hashes of table and pixels at the end, and the
hashes after each step of a series of redos and undos that starts from there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
COLUMNS = ["label", "area_px", "y0", "x0", "y1", "x1", "category", "predicted_iou", "stability_score", "model"]


def state(labels) -> dict[str, object]:
    """Return hashes of objects and pixels as they are."""
    pixels = np.ascontiguousarray(labels.array[...], "<u4")
    table = labels.table()[COLUMNS].astype(object).where(lambda t: t.notna(), None)
    return {
        "pixels": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "table": hashlib.sha256(json.dumps(table.values.tolist()).encode()).hexdigest(),
        "reviewed": sorted(labels.reviewed()),
        "next_label": labels.next_label,
    }


def make(labels, image) -> str:
    """Make every kind of change; return the key of the whole-image run."""
    import napari_sam as ns

    new_object = import_module("napari_sam.io.commit_many").NewObject  # where version 0.1 has it
    predictor = ns.Predictor("default", device="cpu", precision="float32")
    predictor.set_image(image)
    for point in [(40, 60), (120, 200), (200, 40)]:
        labels.commit(predictor.predict(points=[point]))
    labels.commit(predictor.predict(points=[(130, 205)]), label=2)
    labels.undo()
    labels.commit(predictor.predict(points=[(220, 100)]), overlap="replace")  # drops what was undone
    everything = ns.segment_everything(image, predictor, output=labels, side=160, category="found", overlap="keep")
    (run,) = {record["run"] for record in labels.history().record if "run" in record}
    labels.commit(predictor.predict(box=(90, 90, 150, 160)), overlap="replace", category="nucleus")
    labels.commit(predictor.predict(points=[(60, 70)]), overlap="replace")
    found = [int(v) for v in labels.table().label if v >= everything.first_label]
    labels.commit_many(predictor.predict_many([{"points": [(y, y + 30)]} for y in (20, 110, 230)]), overlap="replace")
    squares = [new_object(np.ones((9, 9), bool), (240, x, 249, x + 9), {"category": "square"}) for x in (10, 15, 250)]
    labels.commit_many(squares, overlap="replace", source={"run": "prompts-of-version-0.1", "failed": []})
    labels.paint(np.full((12, 7), 200), (1, 280))
    labels.paint(np.zeros((4, 300), int), (128, 0), kind="eraser")
    labels.paint(np.full((3, 3), 201), (200, 280))
    labels.merge(found[:2])
    labels.relabel(found[2], 500)
    labels.paint(
        np.pad(np.full((5, 4), 501), ((0, 0), (0, 6))) + np.pad(np.full((5, 3), 501), ((0, 0), (7, 0))), (10, 5)
    )
    labels.split(501)
    labels.set_category(500, "large")
    labels.review(found[3])
    labels.review(found[4], "rejected")
    labels.review(500)
    labels.erase(200)
    labels.set_category(201, "last")
    labels.review(found[5])
    for _ in range(2):
        labels.undo()  # two changes wait for redo
    return str(run)


def main() -> None:
    """Write the archive and what a reader of it must see."""

    import napari_sam as ns
    from napari_sam.samples import nuclei

    assert import_module("napari_sam.io.journal").FORMAT == 1, "only version 0.1 can make this store"
    folder = Path(tempfile.mkdtemp())
    path = folder / "cells.ome.zarr"
    image = np.ascontiguousarray(nuclei()[::2, ::2][:256, :300])
    with ns.LabelStore.create(path, shape=image.shape[:2], scale=(0.5, 0.5)) as labels:
        run = make(labels, image)
        expected: dict[str, object] = {"run": run, "shape": list(labels.shape), "history": len(labels.history())}
        expected["kinds"] = labels.history().kind.tolist()
        expected["states"] = labels.history().state.tolist()
        expected["as_opened"] = state(labels)
        rows = labels.table()[COLUMNS].astype(object)
        expected["columns"], expected["rows"] = COLUMNS, rows.where(rows.notna(), None).values.tolist()
    shutil.copytree(path, folder / "copy")  # the undos below are not in the archive
    with ns.LabelStore.open(folder / "copy") as labels:
        expected["redone"] = [state(labels) for _ in range(2) if labels.redo()]
        undone = []
        while labels.undo():
            undone.append(state(labels))
        expected["undone"] = undone
    with zipfile.ZipFile(FOLDER / "store_version_0_1.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for member in sorted(
            p for p in path.rglob("*") if p.is_file() and p.name not in ("writer.lock", "writer.json")
        ):
            file.write(member, member.relative_to(folder).as_posix())
    text = json.dumps(expected, indent=None, separators=(",", ":"))
    (FOLDER / "store_version_0_1.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
