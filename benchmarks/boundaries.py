"""Berkeley's boundary benchmark: how fast thinning and matching are, and that the baselines come out as published.

    python -m benchmarks.boundaries [--data ../shared/data] [--images 55]

Thinning 99 cuts of a map at once is timed against `skimage.morphology.thin` on each cut, the matching against scipy's
`maximum_bipartite_matching` on the same graphs, in turns in one run; both must give the same cuts and the same counts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching
from skimage.morphology import thin

from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb
from napari_sam.evaluation.metrics.bipartite_matching import maximum_matching
from napari_sam.evaluation.metrics.edge_maps import canny_edges, sobel_edges
from napari_sam.evaluation.metrics.edge_matching import MAX_DISTANCE, PixelPairs, edge_counts, edge_thresholds
from napari_sam.evaluation.metrics.edge_scores import edge_scores
from napari_sam.evaluation.metrics.edge_thinning import thin_levels

PUBLISHED = {"sobel": 0.539, "canny": 0.600}
_TIMED = 3  # images that the slow variants are timed on
_SLOW_S = 20.0  # scipy's matching now and then takes minutes for one graph: it stops counting there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", default="dev")
    parser.add_argument("--images", type=int, default=55)
    args = parser.parse_args()
    samples = find_samples(args.data, split=args.split, only=["BSDS500"])
    samples = [samples[i] for i in evenly_spaced(len(samples), args.images)]
    counts: dict[str, list[np.ndarray]] = {"sobel": [], "canny": []}
    seconds = 0.0
    for number, sample in enumerate(samples):
        grey = np.asarray(Image.fromarray(read_rgb(sample)).convert("L"), float) / 255
        drawn = sample.truth().boundaries
        for name, edges in (("sobel", sobel_edges(grey)), ("canny", canny_edges(grey))):
            begun = time.perf_counter()
            counts[name].append(edge_counts(edges, drawn).as_array())
            seconds += time.perf_counter() - begun
            if number < _TIMED:
                compare(f"{sample.name} {name}", edges, drawn)
    print(f"{seconds / 2 / len(samples):.2f} s for a map against {len(drawn)} annotators at 99 thresholds")
    for name, some in counts.items():
        found = edge_scores(np.stack(some))
        print(f"{name}: {found}; published ODS {PUBLISHED[name]}, off by {found.ods - PUBLISHED[name]:+.3f}")


def compare(name: str, edges: np.ndarray, drawn: np.ndarray) -> None:
    """Time one map both ways and check that both agree."""
    at = edge_thresholds()
    begun = time.perf_counter()
    pixels, levels = thin_levels(edges, at)
    ours = time.perf_counter() - begun
    begun = time.perf_counter()
    plain = [thin(edges >= t) for t in at]
    theirs = time.perf_counter() - begun
    for level, cut in zip(levels, plain, strict=True):
        if np.count_nonzero(cut) != np.count_nonzero(level) or not cut[tuple(pixels[level].T)].all():
            raise SystemExit(f"{name}: thinning differs from scikit-image's")
    pairs = PixelPairs.within(pixels, drawn[0], MAX_DISTANCE * float(np.hypot(*edges.shape)))
    mine = plainly = 0.0
    compared = 0
    for level in levels:
        left, right, rank = pairs.at_level(level)
        if not len(left) or plainly > _SLOW_S:
            continue
        compared += 1
        begun = time.perf_counter()
        hit = maximum_matching(left, right, rank)
        mine += time.perf_counter() - begun
        graph = sparse.csr_array((np.ones(len(left), np.int8), (left, right)))
        begun = time.perf_counter()
        partners = maximum_bipartite_matching(graph, "column")
        plainly += time.perf_counter() - begun
        if len(hit) != np.count_nonzero(partners >= 0):
            raise SystemExit(f"{name}: matching differs from scipy's in size")
    print(
        f"{name}: thinning {ours:.2f} s, {ours / theirs:.3f} of scikit-image's; matching {mine:.2f} s for {compared} "
        f"cuts, {mine / max(plainly, 1e-9):.2f} of scipy's"
    )


if __name__ == "__main__":
    main()
