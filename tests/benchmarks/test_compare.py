"""The comparison with the peers, as far as it runs without them."""

import sys

import numpy as np
import torch

from benchmarks.peers import compare, worker_process


def test_a_peer_that_cannot_be_imported_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(worker_process, "PEERS_PYTHON", sys.executable)  # where no peer is installed
    facts = compare._compare("segment-anything", tmp_path / "none.pth", [], quick=True)
    assert "segment_anything" in facts["not installable here"]


def test_stand_in_suppresses_overlapping_boxes_of_the_same_group(monkeypatch):
    monkeypatch.syspath_prepend(str(worker_process.HERE / "stubs" / "torchvision" / "ops"))
    from boxes import batched_nms

    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 60, 60]], dtype=torch.float32)
    scores = torch.tensor([0.5, 0.9, 0.7, 0.1])
    kept = batched_nms(boxes, scores, torch.tensor([0, 0, 1, 0]), 0.5)
    np.testing.assert_array_equal(kept, [1, 2, 3])
