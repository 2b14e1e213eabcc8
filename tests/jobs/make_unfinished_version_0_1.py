"""Make ``unfinished_version_0_1.zip``: label stores in which version 0.1 of the program stopped a run.

The tests resume them with the present version. Only the code of version 0.1 can run this script::

    git worktree add ../v01 13ceeec
    PYTHONPATH=../v01 python tests/jobs/make_unfinished_version_0_1.py

``finding`` and ``writing`` hold a whole-image run that was cancelled while tiles were found, and while they were
written; ``prompts`` holds a run over a prompt table.
"""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import napari_sam as ns
from napari_sam.samples import nuclei

GRID = ns.GridSettings(points_per_side=4, pred_iou_thresh=0.5, stability_score_thresh=0.7)
SETTINGS = {"method": "grid", "grid": GRID, "side": 160, "category": "nucleus"}
PROMPT_SETTINGS = {"nms": None, "category": "nucleus"}


def small_image():
    """Return a corner of the sample image."""
    return np.ascontiguousarray(nuclei()[:256, :320])


def boxes():
    """Return 270 large boxes, so that few windows hold them all."""
    y, x = np.mgrid[0:150:10, 0:216:12]
    corners = np.stack([y.ravel(), x.ravel()], 1)
    return np.concatenate([corners, corners + 100], 1)


def float32_predictor():
    """Return the default model; in single precision, since the precision of a run must not change."""
    return ns.Predictor("default", device="cpu", precision="float32")


def main():
    image, predictor = small_image(), float32_predictor()
    with TemporaryDirectory() as folder:
        for name, stop in (
            ("finding", lambda done, total: done >= 36),
            ("writing", lambda done, total: total - done == 5),
        ):
            seen = [(0, 1)]
            with contextlib.suppress(ns.errors.CancelledError):
                ns.segment_everything(
                    image, predictor, f"{folder}/{name}.ome.zarr", **SETTINGS,
                    progress=lambda *step, seen=seen: seen.append(step),
                    cancelled=lambda seen=seen, stop=stop: stop(*seen[-1]),
                )  # fmt: skip
        done = []
        with contextlib.suppress(ns.errors.CancelledError):
            ns.segment_prompts(
                image, boxes(), predictor, f"{folder}/prompts.ome.zarr", **PROMPT_SETTINGS,
                progress=lambda n, _: done.append(n), cancelled=lambda: bool(done),
            )  # fmt: skip
        target = Path(__file__).with_name("unfinished_version_0_1.zip")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder))
                    print(path.relative_to(folder), path.stat().st_size)
        print(target.stat().st_size)


if __name__ == "__main__":
    main()
