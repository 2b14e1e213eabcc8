"""The decoder runner, with an embedder and a network of a few lines."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_sam.engine.interactive.decoder_runner import DecoderRunner, hypothesis_logits, mask_prompt
from napari_sam.engine.interactive.prediction import PredictionContext
from napari_sam.engine.interactive.prompt_task import new_task
from napari_sam.engine.interactive.prompts import parse_prompt
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError, PromptError
from src_models.networks.mask_decoder import DecodedMasks

SHAPE = (256, 256)
WINDOW = Window((0, 0, 64, 64), 64)


class FakeEmbedder:
    """Embeds nothing, and records what the network is called with."""

    img_size = 64

    def __init__(self, objects=None):
        self.hypotheses, self._objects, self.calls = objects is not None, objects, []
        self.model = SimpleNamespace(runner=self)

    def embed(self, window, cancelled=None):
        return torch.zeros(1, 1, 4, 4)

    embedding = embed

    def objects(self, window, embedding):
        return self._objects

    def decode(self, embedding, coords, masks, multimask, network_shape):
        self.calls.append((coords, masks, multimask, network_shape))
        return DecodedMasks(torch.zeros(len(coords), 3, 16, 16), torch.zeros(len(coords), 3))


def _task(window=WINDOW, **prompt):
    return new_task(0, parse_prompt(SHAPE, **prompt), window, prompt.get("mask"), PredictionContext(), kind="tiny")


def test_tasks_of_a_window_are_decoded_together():
    embedder = FakeEmbedder()
    results = DecoderRunner(embedder).decode([_task(points=[(5, 6)]), _task(box=(1, 2, 9, 9))], True)
    ((coords, masks, multimask, network_shape),) = embedder.calls
    assert [c[1].tolist() for c in coords] == [[1], [2, 3]]
    assert (masks, multimask, network_shape) == ([None, None], True, (64, 64))
    assert [logits.shape for logits, _ in results] == [(3, 16, 16)] * 2


def test_an_object_under_the_prompt_is_a_rough_mask():
    objects = np.zeros((64, 64), np.int32)
    objects[:32, :32] = 1
    embedder = FakeEmbedder(objects)
    DecoderRunner(embedder).decode([_task(points=[(5, 6)]), _task(points=[(50, 50)])], True)
    first, second = embedder.calls[0][1]
    assert ((first > 0) == (np.kron(np.eye(2)[:1].T @ np.eye(2)[:1], np.ones((8, 8))) > 0)).all()
    assert second is None


def test_cancelling_stops_before_the_decoder():
    embedder = FakeEmbedder()
    with pytest.raises(CancelledError):
        DecoderRunner(embedder).decode([_task(points=[(5, 6)])], True, lambda: True)
    assert not embedder.calls


def test_a_finer_window_is_decoded_with_the_coarse_mask():
    embedder, mask = FakeEmbedder(), np.ones((16, 16), np.float32)
    logits = DecoderRunner(embedder).decode_detail(parse_prompt(SHAPE, points=[(5, 6)]), WINDOW, mask)
    assert logits.shape == (3, 16, 16)
    assert embedder.calls[0][1][0] is mask


def test_low_res_logits_of_another_size_are_refused():
    with pytest.raises(PromptError, match="16 x 16") as error:
        mask_prompt(_task(points=[(5, 6)], mask=np.zeros((32, 32))), 16)
    assert error.value.parameter == "mask"


def test_logits_move_with_the_window_but_end_where_an_object_was_cut():
    task = _task(mask=np.ones((16, 16)))
    coarser = task.moved_to(Window((0, 0, 128, 128), 64))
    assert mask_prompt(task, 16) is task.prompt.logits
    assert mask_prompt(coarser, 16).shape == (16, 16)
    with_point = _task(points=[(5, 6)], mask=np.ones((16, 16))).moved_to(Window((0, 0, 128, 128), 64))
    assert mask_prompt(with_point, 16) is None


def test_a_prompt_between_objects_has_no_rough_mask():
    objects = np.zeros((64, 64), np.int32)
    objects[:8, :8] = 1
    assert hypothesis_logits(_task(points=[(50, 50)]), objects, 16, 64) is None
    assert hypothesis_logits(_task(points=[(2, 2)]), objects, 16, 64).max() == 8
