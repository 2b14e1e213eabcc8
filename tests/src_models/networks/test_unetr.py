"""micro-sam's instance decoder against a plain restatement of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from src_models.networks.unetr import UnetrDecoder, Upsampling
from tests.src_models.random_decoder import random_decoder

State = dict[str, Tensor]


pytestmark = pytest.mark.usefixtures("one_thread")


def naive(state: State, x: Tensor, stored: bool = False) -> Tensor:
    """What micro-sam computes for one image, written down layer by layer."""

    def conv(x: Tensor, name: str) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def up(x: Tensor, name: str) -> Tensor:
        if f"{name}.block.weight" in state:
            return F.conv_transpose2d(x, state[f"{name}.block.weight"], state[f"{name}.block.bias"], stride=2)
        return conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), f"{name}.conv")

    def widen(x: Tensor, name: str) -> Tensor:
        x = conv(up(x, f"{name}.block.0"), f"{name}.block.1.block")
        norm = {key: state[f"{name}.block.2.{key}"].clone() for key in ("running_mean", "running_var")}
        gain, bias = state[f"{name}.block.2.weight"], state[f"{name}.block.2.bias"]
        return F.relu(F.batch_norm(x, **norm, weight=gain, bias=bias, training=not stored, eps=1e-5))

    def refine(x: Tensor, name: str) -> Tensor:
        for i in (1, 4):
            x = F.relu(conv(F.instance_norm(x, eps=1e-5), f"{name}.block.{i}"))
        return x

    z9 = widen(x, "deconv1")
    z6 = widen(z9, "deconv2")
    z3 = widen(z6, "deconv3")
    z0 = widen(z3, "deconv4")
    x = refine(x, "base")
    x = refine(torch.cat([up(x, "decoder.samplers.0"), z9[:, 128:384]], 1), "decoder.blocks.0")
    x = refine(torch.cat([up(x, "decoder.samplers.1"), z6[:, 64:192]], 1), "decoder.blocks.1")
    x = refine(torch.cat([up(x, "decoder.samplers.2"), z3[:, 32:96]], 1), "decoder.blocks.2")
    x = refine(torch.cat([up(x, "deconv_out"), z0], 1), "decoder_head")
    return torch.sigmoid(conv(x, "out_conv"))


@pytest.mark.parametrize(("upsampling", "count"), [("bilinear", 9_591_235), ("transposed", 11_028_931)])
def test_parameters_are_as_many_as_published(upsampling: Upsampling, count: int) -> None:
    with torch.device("meta"):
        decoder = UnetrDecoder(upsampling)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == count


def test_keys_are_those_of_micro_sam(decoder: UnetrDecoder) -> None:
    up = {"bilinear": "conv", "transposed": "block"}[decoder.upsampling]
    layers = [f"deconv{i}.block.{rest}" for i in (1, 2, 3, 4) for rest in (f"0.{up}", "1.block", "2")]
    layers += [f"{room}.block.{i}" for room in ("base", "decoder_head") for i in (1, 4)]
    layers += [f"decoder.blocks.{n}.block.{i}" for n in (0, 1, 2) for i in (1, 4)]
    layers += [*(f"decoder.samplers.{n}.{up}" for n in (0, 1, 2)), f"deconv_out.{up}", "out_conv"]
    keys = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    for i in (1, 2, 3, 4):
        keys |= {f"deconv{i}.block.2.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")}
    assert set(decoder.state_dict()) == keys


@pytest.mark.parametrize("stored", [False, True])
def test_maps_are_those_of_a_plain_restatement(decoder: UnetrDecoder, embedding: Tensor, stored: bool) -> None:
    decoder.own_statistics = not stored
    with torch.inference_mode():
        maps = decoder(embedding)
        wanted = torch.cat([naive(decoder.state_dict(), one[None], stored) for one in embedding])
    decoder.own_statistics = True
    assert maps.shape == (2, 3, 48, 80)
    assert maps.std() > 0.01
    torch.testing.assert_close(maps, wanted, atol=2e-5, rtol=0)


def test_maps_are_the_sigmoid_of_the_logits(decoder: UnetrDecoder, embedding: Tensor) -> None:
    with torch.inference_mode():
        logits = decoder.logits(embedding[:1])
        assert torch.equal(torch.sigmoid(logits), decoder(embedding[:1]))
    assert logits.min() < 0 < logits.max()


def test_statistics_matter_and_inference_keeps_them(decoder: UnetrDecoder, embedding: Tensor) -> None:
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    with torch.inference_mode():
        own = decoder(embedding)
        decoder.own_statistics = False
        stored = decoder(embedding)
    decoder.own_statistics = True
    assert (own - stored).abs().max() > 1e-3
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())


def test_training_reaches_every_weight_and_the_stored_statistics(embedding: Tensor) -> None:
    decoder = random_decoder("bilinear").train()
    mean = decoder.state_dict()["deconv4.block.2.running_mean"].clone()
    decoder(embedding)[:, 1].sum().backward()
    silent = {name for name, weight in decoder.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert silent == set()
    assert not torch.equal(decoder.state_dict()["deconv4.block.2.running_mean"], mean)
