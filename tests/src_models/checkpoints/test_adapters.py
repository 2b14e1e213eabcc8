"""Adapters are small, merge into the network that they belong to, and into no other."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from src_models.checkpoints.adapters import AdapterBase, read_adapter_base, save_adapter
from src_models.checkpoints.checkpoint_files import load_network, save_sam, weights_fingerprint
from src_models.model_errors import CheckpointError
from src_models.networks.low_rank import add_low_rank, low_rank_updates, merge_low_rank
from src_models.networks.sam import build_sam


@pytest.fixture
def adapted(tmp_path):
    """A TinyViT network with updates and a trained token, whose base is in base.safetensors."""
    torch.manual_seed(0)
    net = build_sam("vit_t")
    save_sam(net, tmp_path / "base.safetensors")
    base = AdapterBase(str(tmp_path / "base.safetensors"), weights_fingerprint(net), 2.0)
    add_low_rank(net.image_encoder, 3, 6.0)
    net.requires_grad_(False)
    with torch.no_grad():
        for update in low_rank_updates(net).values():
            update.lora_b.normal_(0, 0.1)
            update.requires_grad_(True)
        net.mask_decoder.iou_token.weight.requires_grad_(True).add_(1)
    save_adapter(net, tmp_path / "run" / "adapter.safetensors", base, {"step": "7"})
    merge_low_rank(net)
    return net, tmp_path / "run" / "adapter.safetensors"


def test_an_adapter_is_merged_when_it_is_loaded(adapted, tmp_path):
    net, path = adapted
    loaded = load_network(path)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    assert path.stat().st_size < (tmp_path / "base.safetensors").stat().st_size / 20
    assert not torch.equal(
        loaded.mask_decoder.iou_token.weight, load_network(tmp_path / "base.safetensors").mask_decoder.iou_token.weight
    )


def test_a_base_that_moved_with_its_adapter_is_found_beside_it(adapted, tmp_path):
    _, path = adapted
    shutil.move(tmp_path / "base.safetensors", path.parent / "base.safetensors")
    assert load_network(path).kind == "vit_t"


def test_a_missing_base_is_named(adapted, tmp_path):
    _, path = adapted
    (tmp_path / "base.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"is an adapter of .*base\.safetensors, which cannot be loaded"):
        load_network(path)


def test_another_network_in_place_of_the_base_is_refused(adapted, tmp_path):
    _, path = adapted
    torch.manual_seed(1)
    save_sam(build_sam("vit_t"), tmp_path / "base.safetensors")
    with pytest.raises(CheckpointError, match="is another network now"):
        load_network(path)


def test_factors_that_fit_nothing_are_refused(adapted, tmp_path):
    _, path = adapted
    tensors, base = load_file(path), read_adapter_base(path)
    name = next(n for n in tensors if n.endswith(".lora_a"))
    tensors[name] = tensors[name][:, 1:].contiguous()
    header = {"adapter": f'{{"source": "{base.source}", "fingerprint": "{base.fingerprint}", "scale": 2.0}}'}
    save_file(tensors, path, header)
    with pytest.raises(CheckpointError, match="does not fit"):
        load_network(path)


@pytest.mark.parametrize("header", ["[", "{}", "3", '{"source": "a", "fingerprint": "b", "scale": "c"}', "[" * 100_000])
def test_a_damaged_header_is_refused(tmp_path, header):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"adapter": header})
    with pytest.raises(CheckpointError, match="damaged header"):
        load_network(path)


def test_plain_checkpoints_are_no_adapters(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    (tmp_path / "b.safetensors").write_bytes(b"\x00" * 8 + b"{" + b"no")
    assert [read_adapter_base(tmp_path / n) for n in ("a.pt", "b.safetensors", "none.pt")] == [None] * 3
