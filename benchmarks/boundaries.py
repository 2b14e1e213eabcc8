"""Time thinning and matching of Berkeley's boundary benchmark, and compare the baselines with their published scores.

    python -m benchmarks.boundaries [--data ../shared/data] [--images 55]

Thinning a map at 99 thresholds at once is timed against `skimage.morphology.thin` at each threshold, the matching
against scipy's `maximum_bipartite_matching` on the same graphs, alternately in one run. Both must give the same pixels
and the same number of matches.
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
_TIMED_IMAGES = 3  # on which the slow variants are timed
_MAX_SCIPY_S = 20.0  # scipy's matching sometimes takes minutes for one graph; no further graph is timed


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
        boundaries = sample.truth().boundaries
        for name, edges in (("sobel", sobel_edges(grey)), ("canny", canny_edges(grey))):
            start = time.perf_counter()
            counts[name].append(edge_counts(edges, boundaries).as_array())
            seconds += time.perf_counter() - start
            if number < _TIMED_IMAGES:
                compare(f"{sample.name} {name}", edges, boundaries)
    print(f"{seconds / 2 / len(samples):.2f} s for a map against {len(boundaries)} annotators at 99 thresholds")
    for name, tables in counts.items():
        scores = edge_scores(np.stack(tables))
        print(f"{name}: {scores}; published ODS {PUBLISHED[name]}, difference {scores.ods - PUBLISHED[name]:+.3f}")


def compare(name: str, edges: np.ndarray, boundaries: np.ndarray) -> None:
    """Time both variants on one map, and check that they agree."""
    thresholds = edge_thresholds()
    start = time.perf_counter()
    pixels, levels = thin_levels(edges, thresholds)
    our_thinning_s = time.perf_counter() - start
    start = time.perf_counter()
    expected = [thin(edges >= threshold) for threshold in thresholds]
    scikit_image_s = time.perf_counter() - start
    for level, mask in zip(levels, expected, strict=True):
        if np.count_nonzero(mask) != np.count_nonzero(level) or not mask[tuple(pixels[level].T)].all():
            raise SystemExit(f"{name}: thinning differs from scikit-image's")
    pairs = PixelPairs.within(pixels, boundaries[0], MAX_DISTANCE * float(np.hypot(*edges.shape)))
    our_matching_s = scipy_s = 0.0
    compared = 0
    for level in levels:
        left, right, rank = pairs.at_level(level)
        if not len(left) or scipy_s > _MAX_SCIPY_S:
            continue
        compared += 1
        start = time.perf_counter()
        matched = maximum_matching(left, right, rank)
        our_matching_s += time.perf_counter() - start
        graph = sparse.csr_array((np.ones(len(left), np.int8), (left, right)))
        start = time.perf_counter()
        partners = maximum_bipartite_matching(graph, "column")
        scipy_s += time.perf_counter() - start
        if len(matched) != np.count_nonzero(partners >= 0):
            raise SystemExit(f"{name}: matching differs from scipy's in size")
    print(
        f"{name}: thinning {our_thinning_s:.2f} s, {our_thinning_s / scikit_image_s:.3f} of scikit-image's; matching "
        f"{our_matching_s:.2f} s for {compared} levels, {our_matching_s / max(scipy_s, 1e-9):.2f} of scipy's"
    )


if __name__ == "__main__":
    main()
