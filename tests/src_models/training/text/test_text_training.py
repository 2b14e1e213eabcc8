"""Embeddings of objects as prompts: SAM's recipe for text, checked on a toy CLIP that is trained here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src_models import load_sam
from src_models.model_errors import TrainingError
from src_models.networks.prompt_encoder import PromptEmbedding
from src_models.networks.text_projection import TextProjection, decode_text, with_text
from src_models.training.text.text_training import TextTraining, train_text
from tests.src_models.training.text.toy_clip import COLOURS, paint, toy_embedder, train_toy_clip, write_pictures

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def clip():
    return toy_embedder(*train_toy_clip())


def test_the_toy_clip_embeds_objects_and_words_alike(clip):
    rng = np.random.default_rng(5)
    words = clip.embed_text(list(COLOURS))
    for colour, expected in zip([*COLOURS] * 5, [0, 1] * 5, strict=True):
        picture, mask = paint(colour, rng)
        embedding = clip.embed_objects(picture, mask[None])
        assert int((embedding @ words.T).argmax()) == expected
        assert float(embedding.norm()) == pytest.approx(1, abs=1e-4)


def test_the_last_layer_sees_the_object_only(clip):
    """Change the background: only patches beside the object change, and with them nothing in a one-layer network."""
    rng = np.random.default_rng(0)
    picture, _ = paint("red", rng)
    mask = np.zeros((32, 32), bool)
    mask[:24, :24] = True  # the box, and so the crop, hold background too
    mask[8:, 8:] = False
    changed = picture.copy()
    changed[16:24, 16:24] = 0
    before, after = (clip.embed_objects(p, mask[None]) for p in (picture, changed))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before, clip.embed_objects(255 - picture, mask[None]), atol=1e-3)


def test_half_of_the_pictures_lose_their_background(clip):
    picture, mask = paint("red", np.random.default_rng(0))
    blank = sum((clip._view(picture, mask, np.random.default_rng(i))[0] == 0).all(-1).any() for i in range(40))
    assert 8 <= blank <= 32


def test_a_text_token_stands_before_the_others():
    projection = TextProjection(16, 256)
    prompt = PromptEmbedding(torch.zeros(2, 3, 256), torch.tensor([[True, True, False]] * 2), torch.zeros(1, 256, 1, 1))
    tokens = projection(torch.randn(2, 16))
    out = with_text(prompt, tokens)
    assert out.tokens.shape == (2, 4, 256)
    torch.testing.assert_close(out.tokens[:, :1], tokens)
    assert out.valid.tolist() == [[True, True, True, False]] * 2


def test_training_lowers_the_loss_and_keeps_the_image_encoder(clip, tmp_path):
    write_pictures(tmp_path, 2)
    net, original = load_sam("default"), load_sam("default")
    losses = []
    settings = TextTraining(
        steps=24, batch=1, objects=2, crop_px=128, rounds=2, min_object_px=200, learning_rate=2e-3, decoder_rate=5e-4
    )
    projection = train_text(net, clip, tmp_path, settings, lambda *v: losses.append(v[2]["loss"]))
    assert len(losses) == 24
    assert np.mean(losses[-12:]) < np.mean(losses[:12])
    before, after = original.state_dict(), net.state_dict()
    same = [name for name in before if torch.equal(before[name], after[name])]
    assert all(name in same for name in before if name.startswith("image_encoder"))
    assert any(name not in same for name in before if name.startswith("mask_decoder"))
    embedding = net.encode_crop(torch.zeros(1, 3, 128, 128), (0, 0))
    logits, iou = decode_text(net, embedding, projection(clip.embed_text(["red", "blue"])))
    assert logits.shape == (2, 4, *(4 * n for n in embedding.shape[-2:]))
    assert iou.shape == (2, 4)
    assert not torch.allclose(logits[0], logits[1])


def test_the_decoder_stays_fixed_at_a_rate_of_zero(clip, tmp_path):
    write_pictures(tmp_path, 1)
    net, original = load_sam("default"), load_sam("default")
    settings = TextTraining(steps=1, batch=1, objects=1, crop_px=128, rounds=1, min_object_px=200, decoder_rate=0)
    train_text(net, clip, tmp_path, settings)
    assert all(torch.equal(a, b) for a, b in zip(original.parameters(), net.parameters(), strict=True))


def test_objects_that_are_too_small_are_an_error(clip, tmp_path):
    write_pictures(tmp_path, 1)
    with pytest.raises(TrainingError, match="none of 50 crops shows an object of 100000 px; lower min_object_px"):
        train_text(load_sam("default"), clip, tmp_path, TextTraining(steps=1, crop_px=128, min_object_px=100_000))
