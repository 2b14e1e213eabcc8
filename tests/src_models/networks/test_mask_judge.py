"""Features of the mask judge that can be counted by hand, and its place in a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.checkpoints.checkpoint_files import load_sam, save_official, save_sam
from src_models.networks.mask_decoder import DecodedMasks
from src_models.networks.mask_judge import (
    MAP_FEATURES,
    SIMILARITIES,
    SIZE_FEATURES,
    JudgedMasks,
    MaskJudge,
    judge_inputs,
)
from src_models.networks.prompt_encoder import PAD_POINT, POSITIVE
from src_models.networks.quality_head import FEATURES, PromptTensors
from src_models.networks.sam import build_sam
from src_models.runtime import Runner, WindowInfo

NAMES = (*FEATURES, *MAP_FEATURES, *SIZE_FEATURES, *SIMILARITIES)
SIDE, CELLS, INPUT = 32, 8, 64  # logits, embedding, network's input


def _mask(y0, x0, y1, x1):
    logits = torch.full((SIDE, SIDE), -9.0)
    logits[y0:y1, x0:x1] = 9.0
    return logits


def _seen(*masks, maps=None, accepted_px=0.0, embedding=None, click=(16.0, 16.0), used=(SIDE, SIDE)):
    """Masks of one object; the click is (x, y) in the network's input."""
    logits = torch.stack(masks)[None]
    coords = torch.tensor([[click, (0.0, 0.0)]])
    prompts = PromptTensors(coords, torch.tensor([[POSITIVE, PAD_POINT]]), None, None, used)
    image = torch.zeros(1, 4, CELLS, CELLS) if embedding is None else embedding
    tokens = torch.zeros(1, len(masks), 256)
    decoded = DecodedMasks(logits, torch.full(logits.shape[:2], 0.5))
    return JudgedMasks(decoded, tokens, prompts, image, maps, accepted_px)


def _known(*masks, **seen):
    inputs = judge_inputs(_seen(*masks, **seen), INPUT)
    return {name: inputs.numbers[0, :, i].tolist() for i, name in enumerate(NAMES)}


def _square_maps():
    """Maps of a square object from (8, 8) to (16, 16), in pixels of the logits."""
    maps = torch.ones(3, SIDE, SIDE)
    maps[0] = 0
    maps[0, 8:16, 8:16] = 1
    maps[1:, 8:16, 8:16] = 0.5
    maps[1:, 10:14, 10:14] = 0
    return maps


def test_a_mask_that_fits_the_maps_agrees_with_them():
    known = _known(_mask(8, 8, 16, 16), _mask(8, 8, 16, 12), _mask(0, 0, 32, 32), maps=_square_maps())
    assert known["foreground inside"] == pytest.approx([1, 1, 64 / 1024])
    assert known["foreground around"][0] == 0
    assert known["foreground around"][1] > 0.2  # the half of the object that it misses
    assert known["soft IoU with the foreground"][0] == pytest.approx(1)
    assert known["soft IoU with the foreground"][1] < 0.9
    assert known["smallest boundary distance"] == [0, 0, 0]
    assert known["maps"] == [1, 1, 1]


def test_without_maps_their_features_are_zero():
    known = _known(_mask(8, 8, 16, 16))
    assert all(known[name] == [0] for name in MAP_FEATURES)


def test_the_long_side_is_compared_with_the_accepted_size():
    known = _known(_mask(0, 0, 8, 4), _mask(0, 0, 2, 16), accepted_px=16.0)  # 8 pixels of the logits
    assert known["log ratio to the accepted size"] == pytest.approx([0, np.log(2)])
    assert known["accepted size"] == [1, 1]
    assert _known(_mask(0, 0, 8, 4))["accepted size"] == [0]


def test_the_embedding_is_averaged_inside_and_around():
    embedding = torch.zeros(1, 4, CELLS, CELLS)
    embedding[:, 1] = 1
    embedding[:, :, 2:4, 2:4] = torch.tensor([1.0, 0, 0, 0])[:, None, None]
    seen = _seen(_mask(8, 8, 16, 16), embedding=embedding, click=(20.0, 20.0))
    inputs = judge_inputs(seen, INPUT)
    assert inputs.inside[0, 0].tolist() == [1, 0, 0, 0]
    assert inputs.around[0, 0].tolist() == [0, 1, 0, 0]
    numbers = dict(zip(NAMES, inputs.numbers[0, 0].tolist(), strict=True))
    assert numbers["inside and around"] == 0
    assert numbers["inside and clicks"] == pytest.approx(1)


def test_padding_and_empty_masks_give_finite_features():
    seen = _seen(_mask(0, 0, 0, 0), _mask(0, 0, 32, 32), maps=_square_maps(), used=(20, 31))
    inputs = judge_inputs(seen, INPUT)
    for part in (inputs.numbers, inputs.inside, inputs.around):
        assert torch.isfinite(part).all()


def test_the_order_of_the_masks_does_not_matter():
    torch.manual_seed(0)
    judge = MaskJudge().eval()
    masks = (_mask(8, 8, 16, 16), _mask(4, 4, 20, 20), _mask(0, 0, 32, 32))
    scores = [
        judge.predict_iou(_seen(*some, embedding=torch.rand(1, 256, CELLS, CELLS, generator=_generator())), INPUT)
        for some in (masks, masks[::-1])
    ]
    assert torch.allclose(scores[0], scores[1].flip(1), atol=1e-6)
    assert ((scores[0] > 0) & (scores[0] < 1)).all()


def _generator():
    return torch.Generator().manual_seed(1)


def _answer(net, info):
    embedding = torch.rand(1, 256, 64, 64, generator=_generator())
    click = (np.array([[30.0, 40.0]], np.float32), np.array([1]))
    return Runner(net, "cpu", "float32").decode(embedding, [click], info=info)


@pytest.fixture(scope="module")
def judged():
    torch.manual_seed(0)
    net = build_sam("default")
    net.mask_judge = MaskJudge().eval()
    return net


INFO = WindowInfo((512, 400), torch.rand(3, 256, 256, generator=_generator()))


def test_a_judge_changes_the_scores_and_not_the_masks(judged):
    rated, plain = _answer(judged, INFO), _answer(judged, None)
    assert torch.equal(rated.logits, plain.logits)
    assert not torch.equal(rated.predicted_iou, plain.predicted_iou)


def test_a_judge_works_without_a_dense_decoder(judged):
    rated = _answer(judged, WindowInfo((512, 512)))
    assert torch.isfinite(rated.predicted_iou).all()


def test_a_judge_survives_its_checkpoint(judged, tmp_path):
    save_sam(judged, tmp_path / "judged.safetensors")
    loaded = load_sam(tmp_path / "judged.safetensors")
    assert torch.equal(_answer(loaded, INFO).predicted_iou, _answer(judged, INFO).predicted_iou)


def test_official_files_get_no_judge(judged, tmp_path):
    save_official(judged, tmp_path / "plain.pth")
    assert not any(key.startswith("mask_judge") for key in torch.load(tmp_path / "plain.pth", weights_only=True))
    assert load_sam(tmp_path / "plain.pth").mask_judge is None
