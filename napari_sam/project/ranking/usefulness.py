"""Order images so that those come first from which a model may learn most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.project.ranking.image_profile import ImageProfile


def most_useful(candidates: Sequence[ImageProfile], known: Sequence[ImageProfile]) -> list[int]:
    """Return the indices of candidates, those first that a model is unsure of and that are unlike all before them.

    Parameters
    ----------
    candidates : sequence of ImageProfile
        Images to choose from.
    known : sequence of ImageProfile
        Images that were annotated already.

    Notes
    -----
    Greedy: the next image is that with the largest product of its uncertainty and its distance, that of the directions
    of the mean embeddings, to the nearest image known or chosen before. The distances alone are the k-centre greedy of
    Sener & Savarese (2018), "Active learning for convolutional neural networks: a core-set approach". If no image is
    known, the first is the one most like all others.

    Examples
    --------
    >>> from napari_sam.project.ranking.image_profile import ImageProfile
    >>> seen, same, other = (ImageProfile(np.float32([x, y]), 0.5) for x, y in ((1, 0), (1, 0), (0, 1)))
    >>> most_useful([same, other], [seen])
    [1, 0]
    """
    if not candidates:
        return []
    embeddings = np.stack([profile.embedding for profile in candidates])
    uncertainty = np.array([profile.uncertainty for profile in candidates])
    order: list[int] = []
    if known:
        nearest = (1 - embeddings @ np.stack([profile.embedding for profile in known]).T).min(1)
    else:
        order.append(int((embeddings @ embeddings.sum(0)).argmax()))
        nearest = 1 - embeddings @ embeddings[order[0]]
    left = np.ones(len(candidates), bool)
    left[order] = False
    while left.any():
        gain = np.where(left, np.maximum(0, nearest) * uncertainty, -1).round(9)
        chosen = np.lexsort((-uncertainty, -gain))[0]  # of copies of one image, the order given decides
        order.append(int(chosen))
        left[chosen] = False
        nearest = np.minimum(nearest, 1 - embeddings @ embeddings[chosen])
    return order
