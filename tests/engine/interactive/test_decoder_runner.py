"""The decoder runner, with an embedder and a network of a few lines."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_sam.engine.embeddings.window_objects import WindowObjects
from napari_sam.engine.interactive.decoder_runner import DecoderRunner, hypothesis_logits, mask_prompt
from napari_sam.engine.interactive.prediction import PredictionContext
from napari_sam.engine.interactive.prompt_task import DecodedResult, new_task
from napari_sam.engine.interactive.prompts import parse_prompt
from napari_sam.engine.windows import Hints, Window
from napari_sam.errors import CancelledError, PromptError
from src_models.networks.mask_decoder import DecodedMasks
from src_models.runtime import WindowInfo

SHAPE = (256, 256)
WINDOW = Window((0, 0, 64, 64), 64)


class FakeEmbedder:
    """Embeds nothing, and records what the network is called with."""

    img_size = 64

    def __init__(self, objects=None, maps=None):
        self.hypotheses = self.needs_objects = objects is not None
        self._objects, self.calls = objects is not None and WindowObjects(objects, maps), []
        self.model = SimpleNamespace(runner=self)

    def embed(self, window, cancelled=None):
        return torch.zeros(1, 1, 4, 4)

    embedding = embed

    def mirrored(self, window, cancelled=None):
        return torch.ones(1, 1, 4, 4)

    def objects(self, window, embedding):
        return self._objects

    def decode(self, embedding, coords, masks, multimask, info=None):
        self.calls.append((coords, masks, multimask, info))
        return DecodedMasks(torch.zeros(len(coords), 3, 16, 16), torch.zeros(len(coords), 3))


def _task(window=WINDOW, **prompt):
    return new_task(0, parse_prompt(SHAPE, **prompt), window, prompt.get("mask"), PredictionContext(), kind="tiny")


def test_tasks_of_a_window_are_decoded_together():
    embedder = FakeEmbedder()
    results = DecoderRunner(embedder).decode([_task(points=[(5, 6)]), _task(box=(1, 2, 9, 9))], True)
    ((coords, masks, multimask, info),) = embedder.calls
    assert [c[1].tolist() for c in coords] == [[1], [2, 3]]
    assert (masks, multimask, info) == ([None, None], True, WindowInfo((64, 64)))
    assert [logits.shape for logits, _ in results] == [(3, 16, 16)] * 2


def test_an_object_under_the_prompt_is_a_rough_mask():
    objects = np.zeros((64, 64), np.int32)
    objects[:32, :32] = 1
    embedder = FakeEmbedder(objects)
    DecoderRunner(embedder).decode([_task(points=[(5, 6)]), _task(points=[(50, 50)])], True)
    first, second = embedder.calls[0][1]
    assert ((first > 0) == (np.kron(np.eye(2)[:1].T @ np.eye(2)[:1], np.ones((8, 8))) > 0)).all()
    assert second is None


def test_heads_that_rate_masks_are_told_of_maps_and_accepted_sizes():
    objects, maps = np.zeros((64, 64), np.int32), torch.zeros(3, 64, 64)
    embedder = FakeEmbedder(objects, maps)
    prompt = parse_prompt(SHAPE, points=[(5, 6)])
    window = Window((0, 0, 32, 32), 64)  # magnified twice
    task = new_task(0, prompt, window, None, PredictionContext(Hints(last_px=10)), kind="tiny")
    DecoderRunner(embedder).decode([task], True)
    info = embedder.calls[0][3]
    assert (info.maps is maps, info.accepted_px, info.mirrored) == (True, 20, None)


def test_a_second_look_sees_the_first_mask_and_the_mirrored_window():
    embedder, first = FakeEmbedder(), _task(points=[(5, 6)])
    logits = np.full((2, 16, 16), -5, np.float32)
    logits[1, :4, :4] = 5  # of 64 pixels: a square of 16
    look = DecodedResult(first, logits, np.array([0.2, 0.5], np.float32))
    DecoderRunner(embedder).decode([replace(first.moved_to(Window((0, 0, 32, 32), 64)), first_look=look)], True)
    _, (mask,), _, info = embedder.calls[0]
    assert (mask > 0).sum() == 64
    assert info.mirrored is not None


def test_a_second_look_at_the_same_window_repeats_the_prompt():
    embedder, first = FakeEmbedder(), _task(points=[(5, 6)])
    look = DecodedResult(first, np.ones((1, 16, 16), np.float32), np.array([0.5], np.float32))
    DecoderRunner(embedder).decode([replace(first, first_look=look)], True)
    assert embedder.calls[0][1] == [None]


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
