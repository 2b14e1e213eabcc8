"""Label planes of discs, numbered afresh in each plane, with the numbers they should be linked to."""

import numpy as np

from napari_sam.engine.linking.stack_tables import stack_tables

SIDE = 100


def plane(discs, side=SIDE):
    """Draw discs (y, x, radius), numbered from 1 in their order."""
    yy, xx = np.ogrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for number, (y, x, r) in enumerate(discs, start=1):
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= r * r] = number
    return labels


def tables(planes, max_gap=1):
    """Return the tables of planes given as lists of discs."""
    return stack_tables([plane(discs) for discs in planes], max_gap)


def numbers(links):
    """Return the linked numbers of each plane as lists."""
    return [links.numbers[p].tolist() for p in sorted(links.numbers)]
