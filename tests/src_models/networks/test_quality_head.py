"""Features of masks that are small enough to count by hand, and the quality head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.checkpoints.checkpoint_files import load_sam, save_official, save_sam
from src_models.networks.mask_decoder import DecodedMasks
from src_models.networks.quality_head import FEATURES, PromptTensors, QualityHead, mask_features
from src_models.networks.sam import build_sam
from src_models.runtime import Runner, WindowInfo


def _known(logits, points=((0.0, 0.0, 1),), masks=None, used=(4, 4)):
    """Features by name of one object whose logits are (M, 4, 4), in a network whose input is 8 pixels wide."""
    logits = torch.from_numpy(np.stack(logits))[None]
    coords = torch.tensor([[p[:2] for p in points]])
    labels = torch.tensor([[p[2] for p in points]])
    prompts = PromptTensors(coords, labels, masks, None, used)
    decoded = DecodedMasks(logits, torch.full(logits.shape[:2], 0.5))
    features = mask_features(decoded, prompts, img_size=8)[0]
    return {name: features[:, i].tolist() for i, name in enumerate(FEATURES)}


def _square(size, inside=20.0):
    logits = np.full((4, 4), -20.0, np.float32)
    logits[:size, :size] = inside
    return logits


def test_agreement_of_masks_is_their_overlap():
    known = _known([_square(2), _square(2), _square(4)])
    assert known["mean agreement"] == pytest.approx([(1 + 4 / 16) / 2, (1 + 4 / 16) / 2, 4 / 16])
    assert known["best agreement"] == pytest.approx([1, 1, 0.25])
    assert known["only mask"] == [0, 0, 0]


def test_a_confident_mask_has_a_higher_soft_iou_than_an_uncertain_one():
    sure, unsure = _known([_square(2), _square(2, inside=0.5)])["soft IoU"]
    assert sure == pytest.approx(1, abs=1e-6)
    assert unsure == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-6)  # four pixels of that probability over four


def test_clicks_inside_are_counted_at_the_logits_pitch():
    known = _known([_square(2)], [(2.0, 3.0, 1), (6.0, 6.0, 1), (1.0, 1.0, 0), (0.0, 0.0, -2)])
    assert known["foreground points inside"] == [0.5]
    assert known["background points inside"] == [1.0]
    assert known["log points"] == pytest.approx([np.log(4)])


def test_a_box_is_compared_with_the_bounding_box_of_the_mask():
    known = _known([_square(2), _square(4)], [(0.0, 0.0, 2), (8.0, 4.0, 3)])  # the upper half: 4 x 2 cells
    assert known["agreement with the box"] == pytest.approx([4 / 8, 8 / 16])
    assert known["share of the box"] == pytest.approx([4 / 8, 2])
    assert known["box"] == [1, 1]


def test_features_of_an_empty_mask_are_finite():
    known = _known([_square(0)], [(0.0, 0.0, 2), (8.0, 4.0, 3)])
    assert known["agreement with the box"] == [0]
    assert np.isfinite([v for values in known.values() for v in values]).all()


def test_padding_does_not_change_the_features():
    logits = _square(2)
    padded = logits.copy()
    padded[:, 3] = 20
    assert _known([logits], used=(4, 3)) == _known([padded], used=(4, 3))


def test_a_drawn_mask_prompt_is_distinguished_from_a_decoded_one():
    drawn = torch.where(torch.tensor(_square(4) > 0), 8.0, -8.0)[None, None]
    known = _known([_square(2)], masks=drawn)
    assert known["agreement with the mask prompt"] == [0.25]
    assert known["drawn mask prompt"] == [1]
    assert _known([_square(2)], masks=drawn / 3)["drawn mask prompt"] == [0]


def _answer(net):
    embedding = torch.zeros(1, 256, 64, 64)
    click = (np.array([[30.0, 40.0]], np.float32), np.array([1]))
    return Runner(net, "cpu", "float32").decode(embedding, [click], info=WindowInfo((512, 400)))


@pytest.fixture(scope="module")
def judged():
    torch.manual_seed(0)
    net = build_sam("default")
    net.quality_head = QualityHead().eval()
    return net


def test_a_quality_head_changes_the_scores_and_not_the_masks(judged):
    with_head = _answer(judged)
    head, judged.quality_head = judged.quality_head, None
    without = _answer(judged)
    judged.quality_head = head
    assert torch.equal(with_head.logits, without.logits)
    assert not torch.equal(with_head.predicted_iou, without.predicted_iou)
    assert ((with_head.predicted_iou >= 0) & (with_head.predicted_iou <= 1)).all()


def test_a_quality_head_survives_its_checkpoint(judged, tmp_path):
    save_sam(judged, tmp_path / "judged.safetensors")
    assert torch.equal(_answer(load_sam(tmp_path / "judged.safetensors")).predicted_iou, _answer(judged).predicted_iou)


def test_official_checkpoints_get_no_quality_head(judged, tmp_path):
    save_official(judged, tmp_path / "plain.pth")
    assert not any(key.startswith("quality_head") for key in torch.load(tmp_path / "plain.pth", weights_only=True))
    assert load_sam(tmp_path / "plain.pth").quality_head is None
