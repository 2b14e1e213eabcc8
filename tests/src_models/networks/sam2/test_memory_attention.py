"""Memory attention and encoder: batches, rotations, and sums that are cheaper than the plain ones."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from src_models.networks.sam2.memory_attention import MemoryTokens, RotaryAttention, _weighted_sums
from src_models.networks.sam2.positions import rotate, rotations, sine_distances, sine_map

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def memory() -> MemoryTokens:
    """The memory of three objects: two frames of 4 x 6 cells, and four tokens of a pointer."""
    torch.manual_seed(0)
    return MemoryTokens(torch.randn(3, 2 * 24 + 4, 64), torch.randn(3, 2 * 24 + 4, 64), 4)


def test_attention_to_a_memory_equals_its_plain_definition(memory):
    torch.manual_seed(1)
    attention = RotaryAttention(64).requires_grad_(False)
    queries, turns = torch.randn(3, 24, 256), rotations(256, (4, 6), CPU)
    with torch.inference_mode():
        keys = memory.values + memory.positions
        out = attention(queries, keys, memory.values, turns, memory.pointers)
        k = attention.k_proj(keys)
        k = torch.cat([rotate(k[:, :24], turns), rotate(k[:, 24:48], turns), k[:, 48:]], 1)
        q = rotate(attention.q_proj(queries), turns)
        want = attention.out_proj(F.scaled_dot_product_attention(q, k, attention.v_proj(memory.values)))
    torch.testing.assert_close(out, want, atol=1e-5, rtol=1e-4)


def test_sums_over_several_blocks_equal_the_plain_ones():
    torch.manual_seed(2)
    q, k, values = torch.randn(2, 600, 256), torch.randn(2, 9000, 256), torch.randn(2, 9000, 64)
    want = F.scaled_dot_product_attention(q, k, F.pad(values, (0, 192)))[..., :64]
    torch.testing.assert_close(_weighted_sums(q, k, values), want, atol=1e-5, rtol=1e-4)


def test_attention_with_gradients_equals_that_without(memory):
    attention = RotaryAttention(64)
    arguments = torch.randn(3, 24, 256), memory.values, memory.values, rotations(256, (4, 6), CPU), 4
    with torch.inference_mode():
        quick = attention(*arguments)
    out = attention(*arguments)
    torch.testing.assert_close(out, quick, atol=1e-5, rtol=1e-4)
    out.sum().backward()
    assert attention.v_proj.weight.grad is not None


def test_objects_in_a_batch_are_conditioned_as_each_alone(small_sam2, memory):
    image = torch.randn(1, 256, 4, 6)
    with torch.inference_mode():
        together = small_sam2.memory_attention(image, memory)
        for i in range(3):
            alone = MemoryTokens(memory.values[i : i + 1], memory.positions[i : i + 1], 4)
            torch.testing.assert_close(
                together[i : i + 1], small_sam2.memory_attention(image, alone), atol=1e-4, rtol=1e-4
            )


def test_products_of_rotated_tokens_depend_on_their_distance_only():
    turns = rotations(8, (5, 7), CPU)
    q, k = torch.randn(1, 1, 8), torch.randn(1, 1, 8)

    def product(a, b):
        return float((rotate(q, turns[a : a + 1]) * rotate(k, turns[b : b + 1])).sum())

    assert product(0, 9) == pytest.approx(product(8, 17), abs=1e-5)  # one row and two columns further
    assert product(0, 9) != pytest.approx(product(0, 10), abs=1e-3)


def test_rotations_of_a_map_count_columns_in_the_first_half_of_the_pairs():
    turns = rotations(8, (2, 3), CPU)
    torch.testing.assert_close(turns[4].angle(), torch.tensor([1.0, 0.01, 1.0, 0.01]))  # row 1, column 1
    torch.testing.assert_close(turns[2].angle(), torch.tensor([2.0, 0.02, 0.0, 0.0]))  # row 0, column 2


def test_sine_encodings_alternate_on_maps_and_are_halved_in_time():
    grid = sine_map(8, (1, 4), CPU)[0]
    assert grid.shape == (4, 8)
    torch.testing.assert_close(grid[0, 4:6], torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)  # a quarter of a turn
    times = sine_distances(torch.tensor([0.0, 0.5]), 6)
    torch.testing.assert_close(times[0], torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
    assert float(times[1, 0]) == pytest.approx(0.4794, abs=1e-4)


def test_the_memory_encoder_sees_the_mask(small_sam2):
    image, logits = torch.randn(1, 256, 8, 8), torch.full((2, 1, 32, 32), -8.0)
    logits[1, :, 8:20, 8:20] = 8.0
    with torch.inference_mode():
        empty, inside = small_sam2.memory_encoder(image, logits, binarise=True)
        soft = small_sam2.memory_encoder(image, logits, binarise=False)
    assert empty.shape == (64, 8, 8)
    assert not torch.allclose(empty, inside, atol=1e-4)
    assert not torch.equal(soft[1], inside)
