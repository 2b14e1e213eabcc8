"""The trunk of SAM 2 against its plain definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from src_models.networks.image_encoder import from_windows, to_windows
from src_models.networks.sam2.hiera import Hiera, TrunkMLP, WindowAttention, pooled
from src_models.networks.sam2.image_encoder import Sam2ImageEncoder
from tests.src_models.small_sam2 import SMALL

pytestmark = pytest.mark.usefixtures("one_thread")


def plain_attention(attention, x, window):
    """Pad before the projection, and hold all weights."""
    shape = (x.shape[1], x.shape[2])
    windows = to_windows(x, window) if window else x
    n, h, w, _ = windows.shape
    q, k, v = attention.qkv(windows).view(n, h, w, 3, -1).unbind(3)
    if attention.pools:
        q = F.max_pool2d(q.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        shape, window = (shape[0] // 2, shape[1] // 2), window // 2
    query_shape = q.shape
    q, k, v = (t.reshape(n, -1, attention.heads, t.shape[-1] // attention.heads).transpose(1, 2) for t in (q, k, v))
    out = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1) @ v
    out = attention.proj(out.transpose(1, 2).reshape(query_shape))
    return from_windows(out, window, shape) if window else out


@pytest.mark.parametrize("pools", [False, True])
@pytest.mark.parametrize(("side", "window"), [(8, 4), (8, 6), (10, 14), (8, 0)])
def test_attention_equals_its_plain_definition(side, window, pools):
    torch.manual_seed(0)
    attention = WindowAttention(8, 16, 2, window, pools).requires_grad_(False)
    x = torch.randn(2, side, side, 8)
    torch.testing.assert_close(attention(x), plain_attention(attention, x, window), atol=1e-5, rtol=1e-4)


def test_pooling_takes_the_largest_of_four():
    x = torch.randn(2, 6, 4, 3)
    want = F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    assert torch.equal(pooled(x), want)


def test_a_feed_forward_in_parts_equals_the_whole():
    mlp = TrunkMLP(4, 1 << 19).requires_grad_(False)  # two tokens at a time
    x = torch.randn(1, 5, 1, 4)
    first, second = mlp.layers
    with torch.inference_mode():
        torch.testing.assert_close(mlp(x), second(F.gelu(first(x))), atol=1e-4, rtol=1e-4)


def test_stages_halve_the_grid_and_double_the_channels():
    stages = Hiera(SMALL)(torch.zeros(1, 3, 128, 128))
    assert [tuple(stage.shape[1:]) for stage in stages] == [(32, 32, 16), (16, 16, 32), (8, 8, 64), (4, 4, 128)]


def test_a_pooling_block_keeps_the_windows_of_the_stage_before():
    windows = [block.attn.window for block in Hiera(SMALL).blocks]
    assert windows == [8, 8, 4, 0, 14]


def test_two_projections_in_one_equal_one_after_the_other():
    torch.manual_seed(0)
    encoder, conv = Sam2ImageEncoder(SMALL), torch.nn.Conv2d(256, 8, 1)
    stages = [torch.randn(1, 4, 4, 16)]
    want = conv(encoder.neck.lateral(0)(stages[0].permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
    torch.testing.assert_close(encoder.fine(stages, 0, conv), want, atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_weight_of_the_trunk():
    trunk = Hiera(SMALL)
    sum(stage.square().sum() for stage in trunk(torch.randn(1, 3, 128, 128))).backward()
    assert all(p.grad is not None for p in trunk.parameters())
