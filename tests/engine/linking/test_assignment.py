import itertools

import numpy as np
import pytest

from napari_sam.engine.linking.assignment import assign


def best_total(similarity):
    """Largest total over all ways to pair rows with columns; pairs of similarity 0 count as alone."""
    n, m = similarity.shape
    padded = np.zeros((max(n, m), max(n, m)))
    padded[:n, :m] = similarity
    return max(sum(padded[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(len(padded))))


@pytest.mark.parametrize("seed", range(12))
def test_the_total_similarity_is_that_of_the_best_of_all_pairings(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0.05, 1, rng.integers(1, 6, 2)) * (rng.uniform(size=1) < 2)
    similarity[rng.uniform(size=similarity.shape) < 0.4] = 0
    first, second = np.nonzero(similarity)
    chosen = assign(first, second, similarity[first, second])
    assert len(set(first[chosen])) == len(set(second[chosen])) == chosen.sum()
    assert similarity[first, second][chosen].sum() == pytest.approx(best_total(similarity))


def test_no_candidates_give_no_pairs():
    empty = np.zeros(0, np.int64)
    assert assign(empty, empty, np.zeros(0)).tolist() == []
