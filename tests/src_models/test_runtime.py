"""Devices, precisions, and what folding and batching must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models.model_errors import DeviceError, UnknownModelError
from src_models.networks.prompt_encoder import BOTTOM_RIGHT, TOP_LEFT
from src_models.networks.sam import build_sam
from src_models.runtime import Runner, WindowInfo, choose_device, choose_precision, mirrored_columns, mirrored_points


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    built = build_sam("default")
    for module in built.image_encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return built


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 255, (300, 512, 3), dtype=np.uint8)


def test_folding_normalisations_changes_nothing(net, image):
    runner = Runner(net, "cpu", "float32")
    with torch.inference_mode():
        want = net.image_encoder(net.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None]))
    torch.testing.assert_close(runner.encode([image]), want, atol=2e-3, rtol=1e-3)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in net.image_encoder.modules())  # ours was a copy


def test_many_prompts_equal_one_at_a_time(net, image):
    runner = Runner(net, "cpu", "float32")
    embedding = runner.encode([image])
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 5, 11)  # more than one decoding batch, of different lengths
    prompts = [(rng.uniform(0, 300, (n, 2)).astype(np.float32), rng.integers(0, 2, n).astype(np.int64)) for n in counts]
    masks = [None if i % 2 else rng.normal(size=(256, 256)).astype(np.float32) for i in range(len(counts))]
    together = runner.decode(embedding, prompts, masks)
    for i in (0, 3, 10):
        alone = runner.decode(embedding, prompts[i : i + 1], masks[i : i + 1])
        torch.testing.assert_close(together.logits[i], alone.logits[0], atol=1e-3, rtol=1e-3)


def test_bfloat16_masks_agree_with_float32(default_predictor, nuclei):
    from napari_sam import Predictor

    exact = Predictor("default", "cpu", "float32")
    masks = []
    for predictor in (exact, Predictor("default", "cpu", "bfloat16")):
        predictor.set_image(nuclei[0])
        p = predictor.predict(points=[(121, 182)], multimask=False)
        masks.append(p.full_mask(nuclei[0].shape))
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.97


@pytest.mark.parametrize("device", ["cuda:7", "gpu", "xpu"])
def test_an_absent_device_is_named(device):
    with pytest.raises(DeviceError, match=device.split(":")[0]):
        choose_device(device)


def test_vit_h_is_never_run_in_float16():
    with pytest.raises(DeviceError, match="ViT-H"):
        choose_precision("float16", torch.device("cuda"), "vit_h")


def test_an_unknown_precision_is_named():
    with pytest.raises(DeviceError, match="int4"):
        choose_precision("int4", torch.device("cpu"), "vit_b")


def test_an_unknown_architecture_is_named():
    with pytest.raises(UnknownModelError, match="vit_x"):
        build_sam("vit_x")


def test_mirroring_twice_changes_nothing():
    coords = torch.tensor([[[10.0, 20.0], [0.0, 0.0]], [[4.0, 5.0], [30.0, 40.0]]])
    labels = torch.tensor([[1, -1], [TOP_LEFT, BOTTOM_RIGHT]])
    mirrored = mirrored_points(coords, labels, 64)
    assert mirrored[0, 0].tolist() == [53, 20]
    assert mirrored[1].tolist() == [[34, 5], [60, 40]]
    assert torch.equal(mirrored_points(mirrored, labels, 64), coords)
    columns = torch.rand(2, 3, 16)
    assert torch.equal(mirrored_columns(mirrored_columns(columns, 11), 11), columns)
    assert torch.equal(mirrored_columns(columns, 11)[..., 11:], columns[..., 11:])


def test_masks_are_averaged_with_those_of_the_mirrored_window():
    torch.manual_seed(0)
    net = build_sam("default")
    runner = Runner(net, "cpu", "float32")
    embedding, mirrored = torch.rand(2, 1, 256, 64, 64)
    at = [(np.array([[30.0, 40.0]], np.float32), np.array([1]))]
    other_way = [(np.array([[399.0 - 30.0, 40.0]], np.float32), np.array([1]))]
    both = runner.decode(embedding, at, info=WindowInfo((512, 400), mirrored=mirrored))
    first, second = runner.decode(embedding, at), runner.decode(mirrored, other_way)
    expected = (first.logits + mirrored_columns(second.logits, 200)) / 2
    assert torch.allclose(both.logits, expected, atol=1e-4)
    assert torch.allclose(both.predicted_iou, (first.predicted_iou + second.predicted_iou) / 2, atol=1e-5)
