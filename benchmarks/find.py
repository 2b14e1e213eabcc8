"""What finding the objects of a concept costs, against finding all objects, and what ranking again costs.

    python -m benchmarks.find [--data ../shared/data] [--quick]

Both segment the same images at the same magnification, in turns. A second search uses the candidates that the first has
kept, with another threshold. Times are those of the processor, so that a busy machine changes the ratios little.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import napari_sam as ns
from benchmarks import timing
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb
from napari_sam.io.candidates.candidate_files import CandidateFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SETS = ("dsb2018", "agoro_fields", "emps")
_RANKED = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    found = timing.machine()
    timing.say(timing.describe(found))
    predictor = ns.Predictor("default", device="cpu")
    rows: list[timing.Row] = []
    for name in _SETS[: 1 if options.quick else None]:
        samples = [s for s in find_samples(options.data, split="dev", only=[name]) if len(s.truth().objects) > 3]
        images = [samples[i] for i in evenly_spaced(len(samples), 1 if options.quick else 2)]
        for sample in images:
            rgb, labels = read_rgb(sample), sample.truth().labels()
            rows += compare(
                f"{name}, {rgb.shape[0]} x {rgb.shape[1]}", rgb, labels, predictor, 1 if options.quick else 3
            )
    timing.say(timing.table(rows))
    ratios = [row.ratio for row in rows if row.variant == "find" and row.ratio is not None]
    timing.say(f"find over everything, geometric mean: {np.exp(np.mean(np.log(ratios))):.3f}")
    timing.write_json("find", rows, found, partial=options.quick)


def compare(
    case: str, rgb: NDArray[np.uint8], labels: NDArray[np.int32], predictor: ns.Predictor, repetitions: int
) -> list[timing.Row]:
    """Time everything-mode, a search, a search with known candidates, and ranking many objects."""
    concept = ns.Concept.from_examples(rgb, labels, positive=[int(labels[labels > 0].min())], predictor=predictor)
    folder = Path(tempfile.mkdtemp())
    kept = folder / "kept"
    ns.find(rgb, concept, predictor, folder / "first.ome.zarr", candidates=kept).labels.close()
    side = int(CandidateFiles(kept).about["settings"]["side"])  # type: ignore[index]

    def everything() -> None:
        report = ns.segment_everything(rgb, predictor, folder / "e.ome.zarr", side=side, coarser=False)
        _drop(report.labels)

    def find(**more: object) -> None:
        _drop(ns.find(rgb, concept, predictor, folder / "f.ome.zarr", side=side, **more).labels)  # type: ignore[arg-type]

    candidates = CandidateFiles(kept).all()
    assert candidates is not None
    many = np.resize(candidates.features, (_RANKED, candidates.features.shape[1]))
    variants = {
        "everything": everything,
        "find": find,
        "find again": lambda: find(candidates=kept, threshold=0.3),
        f"rank {_RANKED}": lambda: concept.score(many),
    }
    timings, _ = timing.interleave(variants, repetitions, clock=time.process_time)
    shutil.rmtree(folder)
    base = timings["everything"]
    return [
        timing.row(case, "everything", base),
        timing.row(case, "find", timings["find"], base, max_ratio=1.1),
        timing.row(case, "find again", timings["find again"], base),
        timing.row(case, f"rank {_RANKED}", timings[f"rank {_RANKED}"], max_ms=200),
    ]


def _drop(store: ns.LabelStore) -> None:
    store.close()
    shutil.rmtree(store.path)


if __name__ == "__main__":
    main()
