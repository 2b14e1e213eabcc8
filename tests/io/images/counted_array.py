"""An array of any size that counts decoded pixels."""

from __future__ import annotations

import numpy as np

HUGE = (100_000, 100_000)


class Counted:
    """A chunked array of any size that counts what is decoded; its value is its row divided by 256."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shape, chunks):
        self.shape, self.chunks, self.ndim, self.decoded = shape, chunks, 2, 0

    def __getitem__(self, index):
        wanted = [range(n)[i] for n, i in zip(self.shape, index, strict=True)]
        spans = [(r[-1] // c + 1) - r[0] // c for r, c in zip(wanted, self.chunks, strict=True)]
        self.decoded += spans[0] * spans[1] * self.chunks[0] * self.chunks[1]
        rows = (np.array(wanted[0]) // 256).astype(np.uint16)
        return np.broadcast_to(rows[:, None], (len(rows), len(wanted[1])))
