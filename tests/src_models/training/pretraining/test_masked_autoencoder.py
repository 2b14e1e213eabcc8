"""Masks, losses and networks of masked autoencoders."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from src_models.model_errors import TrainingError
from src_models.networks.image_encoder import ImageEncoderViT
from src_models.networks.sam import build_sam
from src_models.training.pretraining.masked_autoencoder import (
    MaskedCells,
    MaskedViT,
    build_pretext,
    draw_masks,
    masked_loss,
    normalised_patches,
    reconstruction,
    sincos_positions,
    to_pixels,
)
from tests.src_models.training.pretraining.small_networks import SMALL, pretrain_config, random_images


@pytest.mark.parametrize(
    ("shape", "ratio", "hidden"), [((4, 4), 0.75, 12), ((7, 7), 0.6, 29), ((1, 2), 0.75, 1), ((2, 2), 0.01, 1)]
)
def test_each_image_hides_exactly_the_share(shape, ratio, hidden, rng):
    masks = draw_masks(50, shape, ratio, rng)
    assert masks.shape == (50, *shape)
    assert masks.flatten(1).sum(1).tolist() == [hidden] * 50


def test_all_positions_are_hidden_equally_often(rng):
    share = draw_masks(4000, (4, 4), 0.75, rng).float().mean(0)
    assert (share - 0.75).abs().max() < 0.03


def test_masks_of_patches_spread_over_their_pixels():
    mask = torch.tensor([[[True, False]]])
    assert to_pixels(mask, 2).tolist() == [[[[True, True, False, False]] * 2]]


def test_the_loss_by_hand():
    """Two patches of one pixel: the second, hidden, has the colours 1, 2, 3 of mean 2 and variance 1."""
    images = torch.tensor([[9.0, 1.0], [9.0, 2.0], [9.0, 3.0]]).view(1, 3, 1, 2)
    mask = torch.tensor([[[False, True]]])
    nothing, ones = torch.zeros(1, 3, 1, 2), torch.ones(1, 3, 1, 2)
    assert float(masked_loss(nothing, images, mask)) == pytest.approx((1 + 0 + 1) / 3, rel=1e-3)
    assert float(masked_loss(ones, images, mask)) == pytest.approx((4 + 1 + 0) / 3, rel=1e-3)
    both = torch.tensor([[[True, True]]])  # the first has no variance: its target is zero
    assert float(masked_loss(ones, images, both)) == pytest.approx((5 / 3 + 1) / 2, rel=1e-3)


def test_noise_of_one_grey_value_is_the_lesser_part_of_its_patch():
    dark = torch.tensor([0.0, 2.0] * 512).view(1, 1, 32, 32).expand(1, 3, -1, -1) / 255  # deviation: one grey value
    patches, mean, deviation = normalised_patches(dark, 32)
    assert float(mean) == pytest.approx(1 / 255)
    assert float(deviation) == pytest.approx(math.sqrt(1 + 4) / 255, rel=1e-3)
    assert float(patches.abs().max()) == pytest.approx(1 / math.sqrt(5), rel=1e-3)


def test_visible_patches_have_no_loss(rng):
    images, mask = random_images(rng), draw_masks(2, (4, 4), 0.75, rng)
    predicted = random_images(rng)
    changed = torch.where(to_pixels(mask, 16), predicted, 100.0)
    assert masked_loss(predicted, images, mask) == masked_loss(changed, images, mask)


def test_a_perfect_prediction_has_no_loss_and_shows_the_image(rng):
    images, mask = random_images(rng), draw_masks(2, (4, 4), 0.75, rng)
    wanted, _, _ = normalised_patches(images, 16)
    perfect = torch.nn.functional.pixel_shuffle(wanted, 16)
    assert float(masked_loss(perfect, images, mask)) == 0
    torch.testing.assert_close(reconstruction(perfect, images, mask), images, atol=1e-5, rtol=1e-5)
    shown = reconstruction(perfect + 5, images, mask)
    assert ((shown != images).any(1, keepdim=True) == to_pixels(mask, 16)).all()


def _reference(encoder, images, mask):
    """All tokens through the blocks, with explicit softmax that gives hidden keys no weight."""
    x = encoder.patch_embed(images) + encoder.pos_embed[:, : mask.shape[1], : mask.shape[2]]
    x = x.flatten(1, 2)
    heads = SMALL.heads
    for block in encoder.blocks:
        qkv = block.attn.qkv(block.norm1(x))
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, -1))  # (B, nh, N, hs)
        scores = q @ k.transpose(-1, -2) / math.sqrt(SMALL.width / heads)
        scores = scores.masked_fill(mask.flatten(1)[:, None, None], -math.inf)
        x = x + block.attn.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    return x


def test_visible_tokens_give_the_result_of_masked_attention(small, rng):
    encoder = small.image_encoder
    torch.nn.init.normal_(encoder.pos_embed)
    pretext = MaskedViT(encoder, 32, 1, 2)
    images, mask = random_images(rng), draw_masks(2, (4, 4), 0.75, rng)
    visible = (~mask.flatten(1)).nonzero()[:, 1].view(2, 4)
    got = pretext.encode_visible(images, visible)
    want = _reference(encoder, images, mask)[~mask.flatten(1)].view(2, 4, -1)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_with_all_tokens_visible_the_result_is_that_of_the_encoder(rng):
    encoder = ImageEncoderViT(dataclasses.replace(SMALL, global_blocks=(0, 1), img_size=64)).eval()
    torch.nn.init.normal_(encoder.pos_embed)
    encoder.neck = torch.nn.Identity()
    images = random_images(rng)
    got = MaskedViT(encoder, 32, 1, 2).encode_visible(images, torch.arange(16).expand(2, -1))
    torch.testing.assert_close(got, encoder(images).flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-4)


def test_positions_are_a_window_of_the_table(small, rng):
    encoder = small.image_encoder
    torch.nn.init.normal_(encoder.pos_embed)
    pretext, images, visible = MaskedViT(encoder, 32, 1, 2), random_images(rng), torch.arange(16).expand(2, -1)
    there = pretext.encode_visible(images, visible, (3, 4))
    with torch.no_grad():
        encoder.pos_embed[:, :4, :4] = encoder.pos_embed[:, 3:7, 4:8].clone()
    torch.testing.assert_close(there, pretext.encode_visible(images, visible))


def test_positions_are_sines_and_cosines_of_y_and_x():
    table = sincos_positions(3, 5, 8)[0]
    want = [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02), math.sin(4), math.sin(0.04)]
    assert table[2, 4, :6].tolist() == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("patch_px", [16, 32])
@pytest.mark.parametrize("cells", [False, True])
def test_only_visible_pixels_change_the_prediction(small, cells, patch_px, rng):
    encoder = small.image_encoder
    pretext = (MaskedCells(encoder, 16) if cells else MaskedViT(encoder, 32, 1, 2)).eval()
    images, mask = random_images(rng), draw_masks(2, (64 // patch_px,) * 2, 0.75, rng)
    hidden = to_pixels(mask, patch_px)
    with torch.no_grad():
        first = pretext(images, mask)
        assert first.shape == images.shape
        assert torch.equal(first, pretext(torch.where(hidden, 7.0, images), mask))
        assert not torch.allclose(first, pretext(torch.where(hidden, images, 7.0), mask), atol=1e-4)


def test_predictions_are_at_the_position_of_their_pixels(rng):
    """A decoder that hands its tokens through shows each visible patch at its own place."""
    encoder = ImageEncoderViT(dataclasses.replace(SMALL, depth=0))
    pretext = MaskedViT(encoder, 32, 1, 2)
    pretext.norm = pretext.narrow = pretext.head_norm = torch.nn.Identity()
    pretext.blocks = torch.nn.ModuleList()
    mask = draw_masks(1, (4, 4), 0.5, rng)
    images = random_images(rng, 1)
    seen = pretext(images, mask)
    patches = encoder.patch_embed(images) + sincos_positions(4, 4, 32)
    want = torch.nn.functional.pixel_shuffle(pretext.head(patches).permute(0, 3, 1, 2), 16)
    visible = ~to_pixels(mask, 16).expand(-1, 3, -1, -1)
    torch.testing.assert_close(seen[visible], want[visible], atol=1e-5, rtol=1e-4)


def test_a_fresh_vit_starts_from_known_positions(small):
    build_pretext(small, pretrain_config("small"))
    torch.testing.assert_close(small.image_encoder.pos_embed.detach(), sincos_positions(8, 8, 32))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("default", {"mask_patch_px": 12}, "stride, 8"),
        ("default", {"mask_patch_px": 8, "crop_px": 72}, "crop_px is 72.*32"),
        ("default", {"crop_px": 1024}, "512"),
        ("small", {"crop_px": 144}, "128"),
        ("small", {"crop_px": 16}, "crop_px is 16.*32"),
        ("small", {"crop_px": 100}, "crop_px is 100.*16"),
    ],
)
def test_crops_that_do_not_fit_the_network_are_refused(kind, changes, message, small):
    with pytest.raises(TrainingError, match=message):
        build_pretext(small if kind == "small" else build_sam(kind), pretrain_config(kind, **changes))
