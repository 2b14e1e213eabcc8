"""The networks against the reference outputs, and against their own promises."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

from src_models.networks.image_encoder import GridAttention, from_windows, to_windows
from src_models.networks.mask_decoder import MaskDecoder
from src_models.networks.prompt_encoder import ABSENT, PAD_POINT, POSITIVE, PromptEncoder, pad_prompts
from src_models.networks.sam import build_sam
from src_models.networks.tiny_vit import BiasedAttention

PROMPTS = {
    "one_point": ([(60, 70)], [1], None),
    "three_points": ([(60, 70), (200.5, 150.25), (330, 20)], [1, 0, 1], None),
    "box": ([], [], (40, 50, 120.5, 130)),
    "box_and_points": ([(70, 80), (45, 55)], [1, 0], (40, 50, 120.5, 130)),
}  # x, y, as the reference takes them

# Absolute tolerance of the predicted IoU and of the low-res logits. The recording of TinyViT has noise of 1e-4 in the
# upper half of its embedding, introduced behind the last attention (rows 0 to 32 differ, the others agree to the
# rounding of float16, also with our network in float64), and the random decoder amplifies it.
TOLERANCES = {"vit_t": (4e-3, 5e-2), "vit_b": (1e-3, 5e-3)}
FIRST_EXACT_ROW = {"vit_t": 33, "vit_b": 0}


def _reference(shared, kind):
    """The recorded outputs, and our network with the recorded weights."""
    spec = importlib.util.spec_from_file_location("fill_weights", shared / "reference" / "fill_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    recorded = np.load(shared / "reference" / f"{kind}.npz")
    net = build_sam(kind)
    net.load_state_dict(module.fill(net.state_dict(), int(recorded["seed"])))
    return recorded, net


def _prompt(name, scale):
    points, labels, box = PROMPTS[name]
    xy = [*points, *([] if box is None else [box[:2], box[2:]])]
    labels = [*labels, *([] if box is None else [2, 3])]
    return torch.tensor(xy, dtype=torch.float32) * scale, torch.tensor(labels)


@pytest.mark.parametrize("kind", ["vit_t", "vit_b"])
def test_outputs_match_the_reference(shared, kind):
    recorded, net = _reference(shared, kind)
    assert sorted(net.state_dict()) == [str(k) for k in recorded["keys"]]
    iou_atol, logits_atol = TOLERANCES[kind]
    image = recorded["image"]
    resized = np.array(Image.fromarray(image).resize((1024, 808), Image.Resampling.BILINEAR))
    scale = torch.tensor([1024 / 384, 808 / 303])
    with torch.inference_mode():
        features = net.image_encoder(net.preprocess(torch.from_numpy(resized).permute(2, 0, 1)[None]))
        want = torch.from_numpy(recorded["features"]).float()
        torch.testing.assert_close(features, want, atol=2.5e-3, rtol=0)
        exact = slice(FIRST_EXACT_ROW[kind], None)
        torch.testing.assert_close(features[:, :, exact], want[:, :, exact], atol=4e-5, rtol=2**-11)
        coords, labels = pad_prompts([_prompt(name, scale) for name in PROMPTS])  # all four in one batch
        for mode, multimask in (("multi", True), ("single", False)):
            decoded = net.decode(features, coords, labels, multimask=multimask)
            for i, name in enumerate(PROMPTS):
                iou, logits = recorded[f"{name}.{mode}.iou"], recorded[f"{name}.{mode}.low_res_logits"]
                np.testing.assert_allclose(decoded.predicted_iou[i], iou, atol=iou_atol)
                np.testing.assert_allclose(decoded.logits[i], logits.astype(np.float32), atol=logits_atol)
        one = pad_prompts([_prompt("one_point", scale)])
        masked = net.decode(features, *one, torch.from_numpy(recorded["mask_prompt.input"])[None], False)
        np.testing.assert_allclose(masked.predicted_iou[0], recorded["mask_prompt.iou"], atol=iou_atol)
        want = recorded["mask_prompt.low_res_logits"].astype(np.float32)
        np.testing.assert_allclose(masked.logits[0], want, atol=logits_atol)


@pytest.mark.parametrize("kind", ["vit_l", "vit_h"])
def test_large_networks_have_the_official_keys(shared, kind):
    recorded = np.load(shared / "reference" / f"{kind}.npz")
    with torch.device("meta"):
        net = build_sam(kind)
    assert sorted(net.state_dict()) == [str(k) for k in recorded["keys"]]


@pytest.mark.parametrize(
    ("kind", "keys", "parameters"),
    [
        ("vit_b", 314, 93_735_472),
        ("vit_l", 482, 312_342_832),
        ("vit_h", 594, 641_090_608),
        ("vit_t", 439, 10_130_092),
    ],
)
def test_sizes_are_the_published_ones(kind, keys, parameters):
    with torch.device("meta"):
        net = build_sam(kind)
    assert len(net.state_dict()) == keys
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_windows_round_trip_with_padding(rng):
    x = torch.from_numpy(rng.standard_normal((2, 9, 5, 3)))
    assert torch.equal(from_windows(to_windows(x, 4), 4, (9, 5)), x)


def test_attention_in_rows_equals_the_full_matrix():
    torch.manual_seed(0)
    attention = GridAttention(width=8, heads=2, grid=33)
    torch.nn.init.normal_(attention.rel_pos_h)
    torch.nn.init.normal_(attention.rel_pos_w)
    x = torch.randn(1, 33, 33, 8)  # more than 1024 tokens, so computed a few rows at a time
    q, k, v = attention.qkv(x).view(1, 33 * 33, 3, 2, 4).permute(2, 0, 3, 1, 4)
    scores = (q * 0.5) @ k.transpose(-1, -2)
    at = torch.arange(33)
    offsets = at[:, None] - at + 32
    grid_q = q.view(1, 2, 33, 33, 4)
    high = torch.einsum("bnyxc,ykc->bnyxk", grid_q, attention.rel_pos_h[offsets])
    wide = torch.einsum("bnyxc,xkc->bnyxk", grid_q, attention.rel_pos_w[offsets])
    scores = scores + (high[..., :, None] + wide[..., None, :]).reshape(1, 2, 33 * 33, 33 * 33)
    want = (scores.softmax(-1) @ v).transpose(1, 2).reshape(1, 33, 33, 8)
    torch.testing.assert_close(attention(x), attention.proj(want), atol=1e-5, rtol=1e-4)


def test_tiny_vit_uses_changed_biases():
    attention = BiasedAttention(width=4, heads=1, window=2).eval()
    x = torch.randn(1, 4, 4)
    before = attention(x)
    with torch.no_grad():
        attention.attention_biases.copy_(torch.tensor([[4.0, 0.0, 0.0, 0.0]]))  # look at yourself
    assert not torch.allclose(before, attention(x))
    assert attention.bias_index.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


@pytest.fixture(scope="module")
def heads():
    """Prompt encoder with click map, and decoder, with an embedding; small enough to be quick."""
    torch.manual_seed(0)
    return PromptEncoder(128, 8, click_map=True).eval(), MaskDecoder().eval(), torch.randn(1, 256, 16, 16)


def _decode(heads, items, **keywords):
    encoder, decoder, embedding = heads
    coords, labels = pad_prompts(items)
    with torch.inference_mode():
        prompt = encoder(coords, labels, shape=(16, 16))
        return decoder(embedding, encoder.dense_pe((16, 16)), prompt.tokens, prompt.dense, prompt.valid, **keywords)


def test_padding_of_shorter_prompts_changes_nothing(heads):
    short = (torch.tensor([[20.0, 30.0]]), torch.tensor([1]))
    long = (torch.rand(7, 2) * 128, torch.tensor([1, 0, 1, 1, 0, 0, 1]))
    alone, together = _decode(heads, [short]), _decode(heads, [short, long])
    torch.testing.assert_close(together.logits[0], alone.logits[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.predicted_iou[0], alone.predicted_iou[0], atol=1e-5, rtol=1e-4)


def test_absent_is_masked_but_the_pad_point_is_a_token():
    _, labels = pad_prompts([(torch.zeros(1, 2), torch.tensor([1])), (torch.zeros(3, 2), torch.tensor([1, 2, 3]))])
    assert labels.tolist() == [[POSITIVE, PAD_POINT, ABSENT], [1, 2, 3]]


def test_many_images_in_one_batch_equal_one_at_a_time(heads):
    encoder, decoder, _ = heads
    embeddings = torch.randn(3, 256, 16, 16)
    coords, labels = torch.rand(3, 1, 2) * 128, torch.ones(3, 1, dtype=torch.long)
    with torch.inference_mode():
        prompt = encoder(coords, labels, shape=(16, 16))
        pe = encoder.dense_pe((16, 16))
        together = decoder(embeddings, pe, prompt.tokens, prompt.dense)
        alone = decoder(embeddings[1:2], pe, prompt.tokens[1:2], prompt.dense[1:2])
    torch.testing.assert_close(together.logits[1:2], alone.logits, atol=1e-4, rtol=1e-4)


def test_scores_do_not_need_upsampling(heads):
    encoder, decoder, embedding = heads
    coords, labels = pad_prompts([(torch.tensor([[20.0, 30.0]]), torch.tensor([1]))])
    prompt = encoder(coords, labels, shape=(16, 16))
    args = (embedding, encoder.dense_pe((16, 16)), prompt.tokens, prompt.dense, prompt.valid)
    state = decoder.decode_tokens(*args)
    whole = decoder(*args)
    assert state.image.shape[1] == 16 * 16
    torch.testing.assert_close(state.predicted_iou[:, 1:], whole.predicted_iou)
    torch.testing.assert_close(decoder.upscale(state, slice(2, 3)), whole.logits[:, 1:2], atol=1e-4, rtol=1e-4)


def test_upscaling_by_products_equals_transposed_convolutions(heads):
    encoder, decoder, embedding = heads
    coords, labels = pad_prompts([(torch.tensor([[20.0, 30.0]]), torch.tensor([1]))])
    prompt = encoder(coords, labels, shape=(16, 16))
    with torch.inference_mode():
        state = decoder.decode_tokens(embedding, encoder.dense_pe((16, 16)), prompt.tokens, prompt.dense, prompt.valid)
        up = decoder.output_upscaling(state.image.transpose(1, 2).reshape(1, 256, 16, 16))
        weights = decoder.output_hypernetworks_mlps[0](state.mask_tokens[:, 0])
        want = torch.einsum("nc,nchw->nhw", weights, up)
        torch.testing.assert_close(decoder.upscale(state, slice(0, 1))[:, 0], want, atol=1e-4, rtol=1e-4)


def test_a_mask_prompt_affects_only_its_object(heads):
    encoder, _, _ = heads
    coords, labels = torch.rand(2, 1, 2) * 128, torch.ones(2, 1, dtype=torch.long)
    masks = torch.randn(2, 1, 64, 64)
    given = torch.tensor([True, False])
    both = encoder(coords, labels, masks, (16, 16), given).dense
    torch.testing.assert_close(both[:1], encoder(coords, labels, masks, (16, 16)).dense[:1])
    torch.testing.assert_close(both[1:], encoder(coords, labels, None, (16, 16)).dense[1:])


def test_prompts_of_a_crop_equal_those_of_its_part_of_the_square(heads):
    encoder, _, _ = heads
    coords, labels = torch.tensor([[[70.0, 90.0]]]), torch.tensor([[1]])
    whole, crop = (
        encoder(coords, labels, shape=(16, 16)),
        encoder(coords, labels, shape=(8, 8), origin=(8, 4)),
    )
    torch.testing.assert_close(crop.dense, whole.dense[:, :, 8:, 4:12], atol=1e-5, rtol=1e-4)
    pe = encoder.dense_pe((16, 16))[:, :, 8:, 4:12]
    torch.testing.assert_close(encoder.dense_pe((8, 8), (8, 4)), pe)
