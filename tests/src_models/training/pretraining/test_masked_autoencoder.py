"""Masked autoencoders: what is hidden, what it costs, that they learn, and that a cut run is as good as a whole one."""

from __future__ import annotations

import csv
import dataclasses
import math

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import load_file

from src_models.checkpoints.checkpoint_files import load_sam
from src_models.model_errors import CheckpointError, DeviceError, TrainingError, UnknownModelError
from src_models.networks.image_encoder import ImageEncoderViT, ViTConfig
from src_models.networks.mask_decoder import MaskDecoder
from src_models.networks.prompt_encoder import PromptEncoder
from src_models.networks.sam import BUILDERS, Sam, build_sam
from src_models.training.config import TrainConfig
from src_models.training.data.unlabelled import UnlabelledImages, find_images, random_crop, read_planes
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
from src_models.training.pretraining.pretrain_config import PretrainConfig
from src_models.training.pretraining.pretrainer import Pretrainer, pretrain
from src_models.training.starting_network import starting_network

SMALL = ViTConfig(width=32, depth=2, heads=2, global_blocks=(1,), window=3, img_size=128)


def _small_sam() -> Sam:
    return Sam(ImageEncoderViT(SMALL), PromptEncoder(SMALL.img_size, SMALL.patch), MaskDecoder(), "small")


@pytest.fixture
def small(monkeypatch):
    """A ViT that trains in no time, by the name "small"."""
    monkeypatch.setitem(BUILDERS, "small", _small_sam)
    torch.manual_seed(0)
    return _small_sam()


def _scene(rng, side=96):
    """Smooth waves, which can be guessed from what is around."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (rng.uniform(1, 3) * y + rng.uniform(1, 3) * x)) for _ in range(3)]
    return (127 + 100 * np.stack(waves, -1)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, rng):
    """Three images, a label image, a damaged file and a text, in two levels of folders."""
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "pictures" / "a.image.tif", _scene(rng))
    tifffile.imwrite(tmp_path / "pictures" / "a.labels.tif", np.ones((96, 96), np.uint16))
    Image.fromarray(_scene(rng)).save(tmp_path / "pictures" / "b.png")
    Image.fromarray(_scene(rng)).save(tmp_path / "pictures" / "deep" / "c.JPG")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (tmp_path / "pictures" / "notes.txt").write_text("not an image")
    return tmp_path


def _config(kind, **changes):
    tiny = {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2} if kind == "small" else {}
    common = {"images": ("pictures",), "steps": 4, "batch": 2, "crop_px": 64, "warmup_steps": 1, "bf16": False}
    return PretrainConfig(kind=kind, **(common | tiny | {"picture_every": 0} | changes))


def _images(rng, count=2, side=64):
    return torch.from_numpy(rng.normal(size=(count, 3, side, side))).float()


# What is hidden


@pytest.mark.parametrize(
    ("shape", "ratio", "hidden"), [((4, 4), 0.75, 12), ((7, 7), 0.6, 29), ((1, 2), 0.75, 1), ((2, 2), 0.01, 1)]
)
def test_each_image_hides_exactly_the_share(shape, ratio, hidden, rng):
    masks = draw_masks(50, shape, ratio, rng)
    assert masks.shape == (50, *shape)
    assert masks.flatten(1).sum(1).tolist() == [hidden] * 50


def test_all_places_are_hidden_equally_often(rng):
    share = draw_masks(4000, (4, 4), 0.75, rng).float().mean(0)
    assert (share - 0.75).abs().max() < 0.03


def test_masks_of_patches_spread_over_their_pixels():
    mask = torch.tensor([[[True, False]]])
    assert to_pixels(mask, 2).tolist() == [[[[True, True, False, False]] * 2]]


# What it costs


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


def test_visible_patches_cost_nothing(rng):
    images, mask = _images(rng), draw_masks(2, (4, 4), 0.75, rng)
    predicted = _images(rng)
    changed = torch.where(to_pixels(mask, 16), predicted, 100.0)
    assert masked_loss(predicted, images, mask) == masked_loss(changed, images, mask)


def test_a_perfect_guess_costs_nothing_and_shows_the_image(rng):
    images, mask = _images(rng), draw_masks(2, (4, 4), 0.75, rng)
    wanted, _, _ = normalised_patches(images, 16)
    perfect = torch.nn.functional.pixel_shuffle(wanted, 16)
    assert float(masked_loss(perfect, images, mask)) == 0
    torch.testing.assert_close(reconstruction(perfect, images, mask), images, atol=1e-5, rtol=1e-5)
    shown = reconstruction(perfect + 5, images, mask)
    assert ((shown != images).any(1, keepdim=True) == to_pixels(mask, 16)).all()


# What the networks see


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


def test_only_visible_tokens_give_what_masked_attention_gives(small, rng):
    encoder = small.image_encoder
    torch.nn.init.normal_(encoder.pos_embed)
    pretext = MaskedViT(encoder, 32, 1, 2)
    images, mask = _images(rng), draw_masks(2, (4, 4), 0.75, rng)
    visible = (~mask.flatten(1)).nonzero()[:, 1].view(2, 4)
    got = pretext.encode_visible(images, visible)
    want = _reference(encoder, images, mask)[~mask.flatten(1)].view(2, 4, -1)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_with_everything_visible_it_is_the_encoder_itself(rng):
    encoder = ImageEncoderViT(dataclasses.replace(SMALL, global_blocks=(0, 1), img_size=64)).eval()
    torch.nn.init.normal_(encoder.pos_embed)
    encoder.neck = torch.nn.Identity()
    images = _images(rng)
    got = MaskedViT(encoder, 32, 1, 2).encode_visible(images, torch.arange(16).expand(2, -1))
    torch.testing.assert_close(got, encoder(images).flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-4)


def test_positions_are_a_window_of_the_table(small, rng):
    encoder = small.image_encoder
    torch.nn.init.normal_(encoder.pos_embed)
    pretext, images, visible = MaskedViT(encoder, 32, 1, 2), _images(rng), torch.arange(16).expand(2, -1)
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
def test_hidden_pixels_change_nothing_and_visible_ones_do(small, cells, patch_px, rng):
    encoder = small.image_encoder
    pretext = (MaskedCells(encoder, 16) if cells else MaskedViT(encoder, 32, 1, 2)).eval()
    images, mask = _images(rng), draw_masks(2, (64 // patch_px,) * 2, 0.75, rng)
    hidden = to_pixels(mask, patch_px)
    with torch.no_grad():
        first = pretext(images, mask)
        assert first.shape == images.shape
        assert torch.equal(first, pretext(torch.where(hidden, 7.0, images), mask))
        assert not torch.allclose(first, pretext(torch.where(hidden, images, 7.0), mask), atol=1e-4)


def test_a_guess_stands_where_its_pixels_are(rng):
    """A decoder that hands its tokens through shows each visible patch at its own place."""
    encoder = ImageEncoderViT(dataclasses.replace(SMALL, depth=0))
    pretext = MaskedViT(encoder, 32, 1, 2)
    pretext.norm = pretext.narrow = pretext.head_norm = torch.nn.Identity()
    pretext.blocks = torch.nn.ModuleList()
    mask = draw_masks(1, (4, 4), 0.5, rng)
    images = _images(rng, 1)
    seen = pretext(images, mask)
    patches = encoder.patch_embed(images) + sincos_positions(4, 4, 32)
    want = torch.nn.functional.pixel_shuffle(pretext.head(patches).permute(0, 3, 1, 2), 16)
    visible = ~to_pixels(mask, 16).expand(-1, 3, -1, -1)
    torch.testing.assert_close(seen[visible], want[visible], atol=1e-5, rtol=1e-4)


# That they learn


@pytest.mark.parametrize(("kind", "steps", "rate"), [("small", 100, 1e-2), ("default", 15, 2e-3)])
def test_the_loss_falls_on_one_image(kind, steps, rate, small, folder, rng):
    config = _config(kind, steps=1000, batch=4, learning_rate=rate, warmup_steps=5)
    trainer = Pretrainer(config, folder, folder / "run")
    crops = torch.from_numpy(_scene(rng, 64)).permute(2, 0, 1).expand(4, -1, -1, -1)
    losses = []
    for _ in range(steps):
        losses.append(trainer.train_step(crops)["loss"])
        trainer.step += 1
    assert losses[0] > 0.9
    assert np.mean(losses[-5:]) < 0.6


def test_a_vit_trains_all_but_its_neck_and_relative_positions(small, folder):
    trainer = Pretrainer(_config("small"), folder, folder / "run")
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    trainer.train_step(trainer._draw(0, 0, 2))
    same = {name for name, value in trainer.net.state_dict().items() if torch.equal(value, before[name])}
    encoder = {name for name in before if name.startswith("image_encoder.")}
    assert {name for name in encoder if ".neck." in name or ".rel_pos_" in name} == same & encoder
    assert set(before) - encoder <= same


def test_a_fresh_vit_starts_from_known_positions(small):
    build_pretext(small, _config("small"))
    torch.testing.assert_close(small.image_encoder.pos_embed.detach(), sincos_positions(8, 8, 32))


def test_the_rate_warms_up_and_falls_to_zero(small, folder):
    trainer = Pretrainer(_config("small", steps=12, warmup_steps=2, learning_rate=1.0), folder, folder / "run")
    rates = []
    for trainer.step in range(13):
        rates.append(trainer._set_rate())
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[7] == pytest.approx(0.5)
    assert rates[12] == 0


def test_tables_and_vectors_have_no_weight_decay(small, folder):
    decayed, plain = Pretrainer(_config("small"), folder, folder / "run").optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in plain["params"]} == {1, 4}


# Normalisation by batch


def _norms(net):
    return [m for m in net.image_encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_a_fresh_encoder_is_saved_with_the_statistics_of_whole_crops(folder):
    trainer = Pretrainer(_config("default", batch=32), folder, folder / "run")
    trainer.train_step(trainer._draw(0, 0, 2))
    saved = trainer._network_for_use()
    crops = torch.cat([trainer._normalised(trainer._draw(2, i, 32)) for i in range(2)])
    with torch.no_grad():
        first = trainer.net.image_encoder.stem.c(crops)
    torch.testing.assert_close(_norms(saved)[0].running_mean, first.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(_norms(trainer.net)[0].running_mean, _norms(saved)[0].running_mean, atol=1e-2)
    assert not saved.training


def test_a_trained_encoder_keeps_its_statistics(folder):
    result = pretrain(_config("default", steps=1), folder, folder / "first")
    again = _config("default", start=str(result.model))
    trainer = Pretrainer(again, folder, folder / "second")
    before = [norm.running_mean.clone() for norm in _norms(trainer.net)]
    trainer.train_step(trainer._draw(0, 0, 2))
    saved = trainer._network_for_use()
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(_norms(saved), before, strict=True))


# What a run leaves


def _assert_equal(run, other):
    """Same weights for use and same state, bit for bit."""
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (run, other)]
    models = [load_file(folder / "model.safetensors") for folder in (run, other)]
    for mine, theirs in (models, [s["net"] for s in states], [s["pretext"] for s in states]):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize(("kind", "steps"), [("small", 6), ("default", 2)])
def test_a_run_that_is_cut_gives_what_a_whole_one_gives(kind, steps, small, folder, monkeypatch):
    monkeypatch.setattr("src_models.training.pretraining.pretrainer._CALIBRATION_CROPS", 4)
    config, half, done = _config(kind, steps=steps), steps // 2, []
    pretrain(config, folder, folder / "whole")
    cut = pretrain(
        config,
        folder,
        folder / "cut",
        progress=lambda *now: done.append(now[:2]),
        cancelled=lambda: len(done) == half,
    )
    assert (cut.step, done) == (half, [(i + 1, steps) for i in range(half)])
    assert pretrain(config, folder, folder / "cut").step == steps
    _assert_equal(folder / "whole", folder / "cut")


def test_the_seed_alone_decides(small, folder):
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        torch.rand(1)
        pretrain(_config("small", steps=2, seed=seed), folder, folder / name)
    _assert_equal(folder / "one", folder / "two")
    with pytest.raises(AssertionError):
        _assert_equal(folder / "one", folder / "three")


def test_steps_after_the_last_checkpoint_are_done_again(small, folder):
    config = _config("small", steps=40, save_every=15, batch=1)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, folder, folder / "run", progress=_stop_at(22))
    assert torch.load(folder / "run" / "state.pt", weights_only=True)["step"] == 15
    pretrain(config, folder, folder / "run")
    with (folder / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40"]
    assert set(rows[0]) == {"step", "loss", "learning_rate", "steps_per_s", "skipped"}


def _stop_at(last):
    def progress(step, steps, values):
        if step == last:
            raise KeyboardInterrupt

    return progress


def test_a_finished_run_is_left_alone(small, folder):
    config = _config("small", steps=1)
    pretrain(config, folder, folder / "run")
    result = pretrain(config, folder, folder / "run")
    assert (result.step, result.images) == (1, 4)
    assert math.isnan(result.loss)


def test_the_product_is_a_network_to_start_training_from(folder):
    config = _config("default", steps=1, seed=5)
    result = pretrain(config, folder, folder / "run")
    state = torch.load(folder / "run" / "state.pt", weights_only=True)["net"]
    net = starting_network(TrainConfig(kind="default", start=str(result.model), dense_weight=0.0))
    torch.manual_seed(5)
    fresh = build_sam("default", dense=False)
    for name, value in net.named_parameters():
        assert torch.equal(value, state[name])
        if not name.startswith("image_encoder."):
            assert torch.equal(value, fresh.get_parameter(name)), name
    assert not torch.equal(net.image_encoder.stem.c.weight, fresh.image_encoder.stem.c.weight)
    assert load_sam(result.model).kind == "default"


def test_pictures_show_original_visible_and_guess(small, folder):
    config = _config("small", steps=3, picture_every=2, batch=2)
    pretrain(config, folder, folder / "run")
    names = sorted(path.name for path in (folder / "run" / "pictures").iterdir())
    assert names == ["0000002.png", "0000003.png"]
    sheet = np.asarray(Image.open(folder / "run" / "pictures" / names[1])).astype(int)
    assert sheet.shape == (2 * 64 + 4, 3 * 64 + 2 * 4, 3)
    original, visible, guess = (sheet[:64, left : left + 64] for left in (0, 68, 136))
    hidden = (visible == 128).all(-1)
    assert hidden.mean() == pytest.approx(0.75, abs=0.02)
    np.testing.assert_array_equal(guess[~hidden], original[~hidden])
    assert (guess[hidden] != original[hidden]).any()


def test_mixed_precision_and_tinyvit_make_a_step(folder):
    trainer = Pretrainer(_config("vit_t", bf16=True, augment=1.0), folder, folder / "run")
    assert 0.5 < trainer.train_step(trainer._draw(0, 0, 2))["loss"] < 3


# Images


def test_images_are_found_in_folders_and_by_pattern(folder):
    names = [path.name for path in find_images(folder, ["pictures"])]
    assert names == ["a.image.tif", "b.png", "broken.png", "c.JPG"]
    assert [p.name for p in find_images(folder, ["pictures/**/?.[pJ]*", "pictures/b.png"])] == ["b.png", "c.JPG"]
    assert len(find_images(folder / "elsewhere", [str(folder / "pictures")])) == 4


def test_places_without_images_are_named(folder):
    with pytest.raises(TrainingError, match="nowhere"):
        find_images(folder, ["pictures", "nowhere"])
    with pytest.raises(TrainingError, match=r"notes\.txt"):
        find_images(folder, ["pictures/notes.txt"])
    with pytest.raises(TrainingError, match="at least one folder"):
        find_images(folder, [])


def test_unreadable_images_are_skipped_with_a_reason(small, folder):
    result = pretrain(_config("small", batch=8), folder, folder / "run")
    assert result.images == 4
    assert [path.name for path in result.skipped] == ["broken.png"]
    assert "cannot be read" in next(iter(result.skipped.values()))


def test_no_readable_image_is_an_error(small, folder):
    with pytest.raises(TrainingError, match=r"none of 1 images.*broken\.png"):
        pretrain(_config("small", images=("pictures/broken.png",)), folder, folder / "run")


def test_crops_do_not_depend_on_what_was_read_before(folder):
    paths = find_images(folder, ["pictures"])
    warm, cold = UnlabelledImages(paths), UnlabelledImages(paths)
    for seed in range(8):
        warm.draw(32, np.random.default_rng(seed))
    for seed in (3, 5):
        crops = [images.draw(32, np.random.default_rng(seed)) for images in (warm, cold)]
        np.testing.assert_array_equal(*crops)


def test_memory_holds_what_fits(folder, rng):
    one = 96 * 96 * 3
    images = UnlabelledImages(find_images(folder, ["pictures"]), cache_bytes=2 * one)
    sizes = set()
    for _ in range(30):
        images.draw(32, rng)
        sizes.add(images.cached_bytes)
    assert sizes == {one, 2 * one}
    assert len(images) == 4


@pytest.mark.parametrize(
    ("shape", "planes", "size"),
    [
        ((40, 50), 1, (40, 50)),
        ((40, 50, 4), 1, (40, 50)),
        ((2, 40, 50), 1, (40, 50)),
        ((9, 40, 50), 9, (40, 50)),
        ((5, 3, 40, 50), 5, (40, 50)),
        ((100, 16, 17), 16, (16, 17)),
    ],
)
def test_stacks_and_channels_become_pictures(shape, planes, size, tmp_path, rng):
    tifffile.imwrite(tmp_path / "x.tif", rng.integers(0, 60000, shape).astype(np.uint16), photometric="minisblack")
    read = read_planes(tmp_path / "x.tif")
    assert [p.shape for p in read] == [(*size, 3)] * planes
    assert all(p.dtype == np.uint8 and p.max() == 255 for p in read)


def test_missing_values_become_the_smallest(tmp_path):
    image = np.linspace(5, 6, 32 * 32, dtype=np.float32).reshape(32, 32)
    image[0, 0], image[31, 31] = np.nan, np.inf
    tifffile.imwrite(tmp_path / "x.tif", image)
    (plane,) = read_planes(tmp_path / "x.tif")
    assert plane[0, 0, 0] == plane[31, 31, 0] == 0


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((8, 200), np.uint8), "8 x 200"),
        (np.zeros((20, 20), np.complex64), "complex64"),
        (np.full((20, 20), np.nan, np.float32), "no finite"),
    ],
)
def test_what_is_no_picture_is_refused(array, reason, tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", array)
    with pytest.raises(TrainingError, match=reason):
        read_planes(tmp_path / "x.tif")


def test_a_huge_image_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("src_models.training.data.unlabelled._MAX_BYTES", 1000)
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((40, 40), np.uint8))
    with pytest.raises(TrainingError, match="smaller files"):
        read_planes(tmp_path / "x.tif")


def test_crops_show_half_to_double_scale(rng):
    """On a ramp of one grey value per pixel, the difference across a crop tells the scale."""
    ramp = np.repeat(np.broadcast_to(np.arange(250, dtype=np.uint8), (250, 250))[..., None], 3, 2)
    spans = [float(np.ptp(random_crop(ramp, 64, rng))) + 1 for _ in range(200)]
    assert 31 <= min(spans) < 36
    assert 118 < max(spans) <= 129
    assert np.median(spans) == pytest.approx(64, rel=0.15)


@pytest.mark.parametrize("shape", [(16, 16), (16, 300), (63, 64)])
def test_small_images_are_enlarged_to_fill_the_crop(shape, rng):
    image = np.full((*shape, 3), 200, np.uint8)
    for _ in range(20):
        assert (random_crop(image, 96, rng) == 200).all()


# Configuration and other errors


def test_a_configuration_is_read_from_toml(tmp_path):
    (tmp_path / "c.toml").write_text('kind = "vit_b"\nimages = ["a", "b/*.png"]\nbetas = [0.9, 0.99]\nsteps = 7')
    config = PretrainConfig.from_toml(tmp_path / "c.toml")
    assert config == PretrainConfig(kind="vit_b", images=("a", "b/*.png"), betas=(0.9, 0.99), steps=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate = 1", "lerning_rate"),
        ("steps = 'many'", "steps"),
        ("images = 'folder'", "list"),
        ("images = [1]", "images"),
        ("steps = 0", "steps is 0"),
        ("mask_ratio = 1.0", r"mask_ratio is 1\.0"),
        ("learning_rate = nan", "learning_rate is nan"),
        ("weight_decay = -1.0", "weight_decay"),
        ("betas = [0.9]", "betas"),
        ("betas = [0.9, 1.0]", "betas"),
        ("decoder_width = 30", "decoder_width is 30"),
        ("augment = 2.0", "augment"),
        ("steps = ", "TOML"),
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(text, message, tmp_path):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(TrainingError, match=message):
        PretrainConfig.from_toml(tmp_path / "c.toml")


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
        build_pretext(small if kind == "small" else build_sam(kind), _config(kind, **changes))


def test_unknown_networks_devices_and_starts_are_refused(small, folder):
    out = folder / "run"
    with pytest.raises(UnknownModelError, match="vit_x"):
        pretrain(_config("vit_x"), folder, out)
    with pytest.raises(DeviceError, match="abacus"):
        pretrain(_config("small"), folder, out, device="abacus")
    with pytest.raises(TrainingError, match="imagenet"):
        pretrain(_config("small", start="imagenet"), folder, out)
    with pytest.raises(CheckpointError, match=r"nowhere\.pt"):
        pretrain(_config("small", start="nowhere.pt"), folder, out)
    with pytest.raises(TrainingError, match=r"b\.png.*another folder"):
        pretrain(_config("small"), folder, folder / "pictures" / "b.png")


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(small, folder):
    trainer = Pretrainer(_config("small"), folder, folder / "run")
    trainer.save()
    kept = [(folder / "run" / name).read_bytes() for name in ("model.safetensors", "state.pt")]
    with torch.no_grad():
        trainer.pretext.head.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 0: the loss is nan.*learning_rate is 0\.0003.*lower learning_rate"):
        trainer.train_step(trainer._draw(0, 0, 2))
    assert kept == [(folder / "run" / name).read_bytes() for name in ("model.safetensors", "state.pt")]


def test_another_run_or_a_damaged_one_is_not_resumed(small, folder):
    config = _config("small", steps=1)
    pretrain(config, folder, folder / "run")
    with pytest.raises(TrainingError, match=r"with mask_ratio 0\.75, but mask_ratio is 0\.5"):
        pretrain(dataclasses.replace(config, mask_ratio=0.5), folder, folder / "run")
    slower = dataclasses.replace(config, steps=2, learning_rate=1e-5)
    assert pretrain(slower, folder, folder / "run").step == 2
    path = folder / "run" / "state.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="delete it"):
        pretrain(config, folder, folder / "run")


def test_no_half_written_files_are_left(small, folder):
    pretrain(_config("small", steps=2, save_every=1, picture_every=1), folder, folder / "run")
    names = {path.name for path in (folder / "run").rglob("*") if path.is_file()}
    assert names == {"model.safetensors", "state.pt", "log.csv", "0000001.png", "0000002.png"}


def test_label_images_and_the_runs_own_pictures_are_no_data(tmp_path):
    for name in ("a.png", "a_masks.png", "labels/a.png", "runs/mae/pictures/000500.png", "b.labels.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32)).save(tmp_path / name)
    found = find_images(tmp_path, ["."], without=tmp_path / "runs" / "mae")
    assert [p.relative_to(tmp_path).as_posix() for p in found] == ["a.png"]
