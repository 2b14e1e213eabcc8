"""The fast forms of attention and convolution give what the plain ones give, gradients too."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from src_models.networks.layers import ConvNorm, DepthwiseConv2d
from src_models.networks.two_way_attention import (
    DownscaledAttention,
    attend_to_image,
    attend_to_tokens,
    packed_attention,
)


def _plain(q, k, v, mask):
    n = max(len(q), len(k))
    q, k, v = (x.view(len(x), x.shape[1], 8, -1).transpose(1, 2).expand(n, -1, -1, -1) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("few", ["queries", "keys"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_packed_attention_is_attention(few, shared, masked):
    torch.manual_seed(0)
    n, short, long = 3, 7, 200
    lengths = (short, long) if few == "queries" else (long, short)
    many = 1 if shared else n  # the image's tokens are one for all prompts
    q = torch.randn(n if few == "queries" else many, lengths[0], 128, requires_grad=True)
    k, v = (torch.randn(many if few == "queries" else n, lengths[1], 128, requires_grad=True) for _ in range(2))
    mask = None
    if masked:
        mask = torch.rand(n, 1, 1, lengths[1]) > 0.4
        mask[..., 0] = True
    outs = [f(q, k, v, mask) for f in (packed_attention, _plain)]
    torch.testing.assert_close(*outs, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(outs[0])
    grads = [torch.autograd.grad((out * weight).sum(), (q, k, v)) for out in outs]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("direction", "masked"), [("to image", False), ("to tokens", False), ("to tokens", True)])
def test_attention_that_does_not_project_the_image_is_attention(direction, masked):
    torch.manual_seed(0)
    n, few, many = 3, 7, 200
    layer = DownscaledAttention(256, 128)
    tokens, image = (torch.randn(n, length, 256, requires_grad=True) for length in (few, many))
    token_pe, image_pe = torch.randn(n, few, 256), torch.randn(1, many, 256)
    if direction == "to image":
        mask = None
        out = attend_to_image(layer, tokens + token_pe, image + image_pe, image)
        plain = _layer(layer, tokens + token_pe, image + image_pe, image, mask)
    else:
        mask = torch.rand(n, 1, 1, few) > 0.4 if masked else None
        if mask is not None:
            mask[..., 0] = True
        out = attend_to_tokens(layer, image + image_pe, tokens + token_pe, tokens, mask)
        plain = _layer(layer, image + image_pe, tokens + token_pe, tokens, mask)
    torch.testing.assert_close(out, plain, atol=1e-5, rtol=1e-5)
    weight, weights = torch.randn_like(out), [p for name, p in layer.named_parameters() if name != "k_proj.bias"]
    inputs = [tokens, image, *weights]
    grads = [torch.autograd.grad((x * weight).sum(), inputs, retain_graph=True) for x in (out, plain)]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


def _layer(layer, q, k, v, mask):
    return layer.out_proj(_plain(layer.q_proj(q), layer.k_proj(k), layer.v_proj(v), mask))


@pytest.mark.parametrize(("kernel", "stride", "depthwise"), [(1, 1, False), (3, 2, False), (3, 1, True), (5, 2, True)])
def test_folding_a_fixed_normalisation_changes_nothing(kernel, stride, depthwise):
    torch.manual_seed(0)
    width = 12 if depthwise else 20
    layer = ConvNorm(12, width, kernel, stride, groups=12 if depthwise else 1).eval()
    layer.bn.running_mean.normal_()
    layer.bn.running_var.uniform_(0.5, 2)
    layer.bn.weight.data.normal_()
    x = torch.randn(2, 12, 16, 16).contiguous(memory_format=torch.channels_last)
    plain = layer.bn(layer.c(x))
    folded = layer(x)
    torch.testing.assert_close(folded, plain, atol=1e-5, rtol=1e-5)
    grads = [torch.autograd.grad(out.square().sum(), list(layer.parameters())) for out in (folded, plain)]
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain)


def test_a_vits_crop_keeps_the_positions_of_the_whole():
    """With every learned position but the crop's own spoiled, a crop is embedded as before."""
    from src_models.networks.image_encoder import ImageEncoderViT, ViTConfig

    torch.manual_seed(0)
    config = ViTConfig(width=32, depth=2, heads=2, global_blocks=(1,), img_size=128, window=3)
    encoder = ImageEncoderViT(config).eval()
    for parameter in encoder.parameters():
        parameter.data.normal_(0, 0.3)
    x = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        before = encoder(x, (2, 3))
        kept = encoder.pos_embed[:, 2:6, 3:6].clone()
        encoder.pos_embed.normal_()
        encoder.pos_embed[:, 2:6, 3:6] = kept
        for table, size in ((encoder.blocks[1].attn.rel_pos_h, 4), (encoder.blocks[1].attn.rel_pos_w, 3)):
            middle = len(table) // 2
            near = table[middle - size + 1 : middle + size].clone()
            table.normal_()
            table[middle - size + 1 : middle + size] = near
        torch.testing.assert_close(encoder(x, (2, 3)), before)
        assert not torch.allclose(encoder(x), before, atol=1e-2)


def test_depthwise_convolution_keeps_its_type_in_mixed_precision():
    layer, plain = DepthwiseConv2d(8, 5), torch.nn.Conv2d(8, 8, 5, padding=2, groups=8)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(1, 8, 9, 9)
    torch.testing.assert_close(layer(x), plain(x))
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x.bfloat16())
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out.float(), plain(x), atol=0.05, rtol=0.05)
