"""Low-rank updates change nothing at first, touch only what they should, and merge exactly."""

from __future__ import annotations

import copy

import pytest
import torch

from src_models.model_errors import TrainingError
from src_models.networks.low_rank import add_low_rank, low_rank_updates, merge_low_rank
from src_models.networks.sam import build_sam
from tests.src_models.small_sam2 import small_sam2_network
from tests.src_models.training.pretraining.small_networks import small_sam

ENCODERS = {"vit": small_sam, "vit_t": lambda: build_sam("vit_t"), "hiera": small_sam2_network}


def _images(side):
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("layers", ["attention", "all"])
def test_updates_change_nothing_at_first_and_merge_exactly(name, layers):
    torch.manual_seed(0)
    net = ENCODERS[name]().eval()
    encoder = getattr(net.image_encoder, "trunk", net.image_encoder)
    images = _images(64 if name == "vit_t" else net.img_size)
    with torch.no_grad():
        before = encoder(images)
        names = add_low_rank(encoder, 2, 4.0, layers)
        assert names
        torch.testing.assert_close(encoder(images), before, rtol=0, atol=0)
        for update in low_rank_updates(encoder).values():
            update.lora_b.normal_(0, 0.1)
        changed, keys = encoder(images), net.state_dict().keys()
        merged = copy.deepcopy(net)
        merge_low_rank(merged)
        again = getattr(merged.image_encoder, "trunk", merged.image_encoder)(images)
    assert merged.state_dict().keys() == ENCODERS[name]().state_dict().keys() != keys
    torch.testing.assert_close(again, changed)
    assert any(not torch.equal(a, b) for a, b in zip(_flat(changed), _flat(before), strict=True))


def _flat(output):
    return output if isinstance(output, list) else [output]


def test_only_the_factors_are_trained():
    net = small_sam()
    names = add_low_rank(net.image_encoder, 2, 2.0)
    trained = [name for name, value in net.image_encoder.named_parameters() if value.requires_grad]
    assert len(trained) == 2 * len(names)
    assert all(name.endswith(("lora_a", "lora_b")) for name in trained)
    assert all(value.requires_grad for value in net.mask_decoder.parameters())


def test_only_the_last_blocks_are_updated():
    net = small_sam()
    last = len(net.image_encoder.blocks) - 1
    assert add_low_rank(net.image_encoder, 2, 2.0, "attention", 1) == [
        f"blocks.{last}.attn.{n}" for n in ("qkv", "proj")
    ]


def test_an_encoder_without_attention_is_refused():
    with pytest.raises(TrainingError, match="lora_rank is 4, and EfficientFPN has no attention layers"):
        add_low_rank(build_sam("default").image_encoder, 4, 4.0)
