"""The naive SAM 2 computes the same as ours, so that their times can be compared."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.naive_sam2 import NaiveSam2
from benchmarks.sam2 import encode, noise, random_network, track


def test_naive_and_ours_agree_and_are_both_timed():
    net = random_network("tiny", 128)
    naive, agreement = NaiveSam2(net), {}
    frames = [np.roll(noise(128), 3 * t, 1) for t in range(3)]
    with torch.inference_mode():
        rows = encode(net, naive, 1, agreement) + track(net, naive, frames, 2, agreement)
    assert agreement["embedding, largest |naive - ours|"] < 1e-4
    assert agreement["masks of the last frame, share of equal pixels"] > 0.999
    in_bfloat16 = [row for row in rows if "bfloat16" in row.variant]  # where the processor multiplies it fast
    assert len(in_bfloat16) in (0, 2)
    assert all(row.ratio is not None for row in in_bfloat16)
    assert [row.ratio is not None for row in rows if row not in in_bfloat16] == [False, True, False, True]
