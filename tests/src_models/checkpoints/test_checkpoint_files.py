"""Loading and saving networks, and the files that are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from src_models import build_sam
from src_models.checkpoints import registry
from src_models.checkpoints.checkpoint_files import (
    _hollow,
    checkpoint_sha256,
    load_sam,
    save_official,
    save_sam,
    weights_fingerprint,
)
from src_models.checkpoints.state_dicts import check_fit, detect_kind, read_state
from src_models.model_errors import CheckpointError, DeviceError, DownloadError, UnknownModelError
from tests.src_models.checkpoints.file_server import file_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from src_models.networks.sam import Sam

State = dict[str, Tensor]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny() -> Sam:
    """MobileSAM's network with random weights."""
    generator = torch.Generator().manual_seed(5)
    net = _hollow("vit_t")
    state = {
        name: torch.rand(value.shape, generator=generator) if value.is_floating_point() else torch.tensor(7)
        for name, value in net.state_dict().items()
    }
    net.load_state_dict(state, assign=True)
    return net.eval()


@pytest.fixture(scope="module")
def tiny_file(tiny: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(tiny.state_dict(), path)
    return path


def assert_same_network(one: Sam, other: Sam) -> None:
    assert one.kind == other.kind
    for mine, theirs in (
        (dict(one.named_parameters()), dict(other.named_parameters())),
        (dict(one.named_buffers()), dict(other.named_buffers())),
    ):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_loaded_network_equals_that_of_load_state_dict(tiny: Sam, tiny_file: Path) -> None:
    reference = build_sam("vit_t")
    reference.load_state_dict(tiny.state_dict())
    loaded = load_sam(tiny_file)
    assert_same_network(loaded, reference)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("kind", ["default", "vit_t", "vit_b", "vit_l", "vit_h", "sam2.1_tiny", "sam2_large"])
def test_hollow_network_allocates_its_constants_only(kind: str) -> None:
    net = _hollow(kind)
    kept = net.state_dict()
    constants = [value for name, value in net.named_buffers() if name not in kept]
    assert len(constants) >= 2
    assert not any(value.is_meta for value in constants)
    taken = sum(value.nbytes for value in kept.values() if not value.is_meta)
    assert taken < 0.05 * sum(value.nbytes for value in kept.values())


def test_constants_of_a_hollow_network_are_right(tiny: Sam) -> None:
    whole = dict(build_sam("vit_t").named_buffers())
    buffers = dict(tiny.named_buffers())
    names = [name for name in buffers if name not in tiny.state_dict()]
    assert any("bias_index" in name for name in names)
    assert all(torch.equal(buffers[name], whole[name]) for name in names)


def test_loaded_network_is_independent_of_its_file(tiny: Sam, tiny_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(tiny_file.read_bytes())
    loaded = load_sam(copy)
    copy.write_bytes(b"")
    assert_same_network(loaded, tiny)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_state_dict_loads(tiny: Sam, tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "mobile_sam.pt"
    torch.save(tiny.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    assert_same_network(load_sam(str(path)), tiny)


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    ("wrapper", "prefix"),
    [("model_state", "sam."), ("model", ""), ("state_dict", "module."), ("model", "module._orig_mod.")],
)
def test_wrappers_and_prefixes_are_removed(wrapper: str, prefix: str, tmp_path: Path) -> None:
    weights = {"image_encoder.a": torch.ones(2), "mask_decoder.b": torch.zeros(3)}
    content = {
        wrapper: prefixed(weights, prefix),
        "epoch": 3,
        "decoder_state": {"out_conv.bias": torch.ones(1)},
    }
    torch.save(content, tmp_path / "a.pt")
    state = read_state(tmp_path / "a.pt")
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in weights)


def test_constants_that_some_programs_store_are_ignored(tiny: Sam, tmp_path: Path) -> None:
    extra = {"pixel_mean": torch.zeros(3, 1, 1), "module.pixel_std": torch.zeros(3, 1, 1)}
    torch.save({**tiny.state_dict(), **extra}, tmp_path / "a.pth")
    assert_same_network(load_sam(tmp_path / "a.pth"), tiny)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_file_becomes_float32(tiny: Sam, tmp_path: Path, dtype: torch.dtype) -> None:
    save_sam(tiny, tmp_path / "half.safetensors", dtype=dtype)
    loaded = load_sam(tmp_path / "half.safetensors")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    for name, value in tiny.named_parameters():
        assert torch.equal(loaded.get_parameter(name), value.to(dtype).float())
    assert all(torch.equal(loaded.get_buffer(name), value) for name, value in tiny.named_buffers())


@pytest.mark.parametrize(
    ("key", "shape", "kind"),
    [
        ("image_encoder.patch_embed.proj.weight", (768, 3, 16, 16), "vit_b"),
        ("image_encoder.patch_embed.proj.weight", (1024, 3, 16, 16), "vit_l"),
        ("image_encoder.patch_embed.proj.weight", (1280, 3, 16, 16), "vit_h"),
        ("image_encoder.patch_embed.seq.0.c.weight", (32, 3, 3, 3), "vit_t"),
        ("image_encoder.stem.c.weight", (32, 3, 3, 3), "default"),
    ],
)
def test_kind_follows_from_keys_and_shapes(key: str, shape: tuple[int, ...], kind: str) -> None:
    assert detect_kind({key: torch.empty(shape, device="meta")}, Path("a.pth")) == kind
    assert _hollow(kind).state_dict()[key].shape == shape


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["image_encoder.blocks.0.attn.qkv.w_a_linear_q.weight"], "LoRA adapters.*merge them"),
        (["image_encoder.blocks.0.attn.qkv.qkv_proj.weight"], "LoRA adapters.*merge them"),
        (["image_encoder.trunk.pos_embed"], "SAM 2 checkpoint.*give one of the published sizes"),
        (["deconv1.block.0.weight", "out_conv.weight", "base.block.1.weight"], "decoder for automatic"),
        (["mask_decoder.iou_token.weight"], "decoder without its image encoder"),
        (["patch_embed.proj.weight", "blocks.0.norm1.weight"], "an image encoder only"),
        (["image_encoder.patch_embed.proj.weight"], "width 2;.* 768, 1024 or 1280"),
        (["fc.weight", "fc.bias"], "not a SAM checkpoint, its keys are fc.bias, fc.weight"),
    ],
)
def test_checkpoint_of_another_network_is_named(tmp_path: Path, keys: list[str], message: str) -> None:
    path = tmp_path / "other.pth"
    torch.save({"model": {key: torch.zeros(2, 2) for key in keys}}, path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_sam(path)
    assert str(path) in str(caught.value)


def without(state: State) -> State:
    return {name: value for name, value in state.items() if name != "mask_decoder.iou_token.weight"}


COUNT = "image_encoder.patch_embed.seq.0.bn.num_batches_tracked"

MISFITS: dict[str, tuple[Any, str]] = {
    "missing": (without, r"1 keys are missing \(mask_decoder.iou_token.weight\)"),
    "unexpected": (lambda s: {**s, "mask_decoder.hf_token.weight": torch.ones(1)}, "unexpected .*hf_token"),
    "shape": (
        lambda s: {**s, "mask_decoder.iou_token.weight": torch.ones(2, 256)},
        r"is \(2, 256\), not \(1, 256\)",
    ),
    "complex": (
        lambda s: {**s, "mask_decoder.iou_token.weight": torch.ones(1, 256) * 1j},
        "wrong type .*complex64",
    ),
    "complex count": (lambda s: {**s, COUNT: torch.tensor(1j)}, "wrong type .*complex64"),
    "integer": (
        lambda s: {**s, "mask_decoder.iou_token.weight": torch.ones(1, 256).int()},
        "wrong type .*int32",
    ),
    "sparse": (
        lambda s: {**s, "mask_decoder.iou_token.weight": torch.ones(1, 256).to_sparse()},
        "wrong type .*sparse",
    ),
    "meta": (
        lambda s: {**s, "mask_decoder.iou_token.weight": torch.ones(1, 256, device="meta")},
        "wrong type .*meta",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_state_that_does_not_fit_is_refused(tiny: Sam, case: str) -> None:
    change, message = MISFITS[case]
    own = tiny.state_dict()
    with pytest.raises(CheckpointError, match=f"a.pth looks like vit_t but does not fit it: .*{message}"):
        check_fit(change(dict(own)), own, "vit_t", Path("a.pth"))


def test_file_that_does_not_fit_is_refused(tiny: Sam, tmp_path: Path) -> None:
    save_file(without(tiny.state_dict()), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a.safetensors .*1 keys are missing"):
        load_sam(tmp_path / "a.safetensors")


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickle_that_runs_code_is_refused_without_running_it(tmp_path: Path, legacy: bool) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    torch.save({"model": Bomb(trace)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"evil.pth holds Python objects \(posix.mkdir\).*save_file"):
        load_sam(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # without weights_only, the file runs its code


def test_pickled_network_is_refused_with_a_remedy(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"Python objects \(torch.nn.modules.linear.Linear\).*state_dict\(\)"):
        load_sam(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>log in</html>", "is a web page"),
        (b"\n <html>not found</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer.*git lfs pull"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a checkpoint: it starts with.*PNG"),
        (b"\x80\x02}q\x00.", "not a checkpoint|not a state dict|damaged"),
        (b"PK\x03\x04" + bytes(100), "damaged or cut short"),
        (struct.pack("<Q", 1 << 40) + b'{"a"', "damaged or cut short"),
        (struct.pack("<Q", 2) + b"{}", "holds no weights"),
    ],
)
def test_other_file_is_refused_with_its_type(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_sam(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("writer", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_truncated_file_is_named(tmp_path: Path, writer: str, share: float) -> None:
    path = tmp_path / "cut.pth"
    weights = {"image_encoder.stem.c.weight": torch.rand(32, 3, 3, 3)}
    if writer == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=writer == "zip")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=r"cut.pth is damaged.*copy or download it again"):
        load_sam(path)


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3), {"a": 1}, {"model": {"b": "c"}}, {3: torch.ones(1)}])
def test_pickle_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a.pth holds .*save model.state_dict\(\)"):
        load_sam(tmp_path / "a.pth")


def test_two_networks_in_one_file_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "module.a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="a twice"):
        load_sam(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("method", "message"),
    [(zipfile.ZIP_DEFLATED, "compressed archive"), (zipfile.ZIP_STORED, "without a checkpoint in it")],
)
def test_other_archive_is_refused(tmp_path: Path, method: int, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", method) as archive:
        archive.writestr("a/data.pkl" if method == zipfile.ZIP_DEFLATED else "a/image.png", bytes(100_000))
    with pytest.raises(CheckpointError, match=message):
        load_sam(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["missing.pth", "some/where", "a\0b.pth"])
def test_missing_file_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"no such file|cannot read"):
        load_sam(f"{tmp_path}/{name}")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder; give the checkpoint file"):
        load_sam(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_sam(tmp_path / "pipe.pth")


@pytest.mark.parametrize("name", ["vit_x", "", "Default"])
def test_name_that_is_neither_model_nor_path_is_unknown(name: str) -> None:
    with pytest.raises(UnknownModelError, match=f"unknown model '{name}'"):
        load_sam(name)


def test_file_without_suffix_is_loaded(tiny: Sam, tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_file.parent)
    (tiny_file.parent / "mine").symlink_to(tiny_file)
    assert_same_network(load_sam("mine"), tiny)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:x"])
def test_unusable_device_is_reported_before_a_file_is_read(device: str) -> None:
    with pytest.raises(DeviceError, match=f"device '{device}' cannot be used here .*use device=cpu"):
        load_sam("no such file.pth", device=device)


@pytest.fixture
def published(tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[registry.ModelInfo]:
    """The tiny network as a registered model, on a server of this machine."""
    with file_server(tiny_file.parent, tmp_path / "cache", monkeypatch) as address:
        url = f"{address}/{tiny_file.name}"
        size, sha256 = tiny_file.stat().st_size, checkpoint_sha256(tiny_file)
        info = registry.ModelInfo("test", "vit_t", url, size, sha256, "MIT", "", "test.pt")
        monkeypatch.setitem(registry._BY_NAME, "test", info)
        yield info


def test_registered_name_is_downloaded_once(published: registry.ModelInfo, tiny: Sam) -> None:
    seen: list[tuple[int, int | None]] = []
    first = load_sam("test", progress=lambda done, total: seen.append((done, total)))
    assert_same_network(first, tiny)
    assert seen[-1] == (published.size_bytes, published.size_bytes)
    seen.clear()
    load_sam("test", progress=lambda done, total: seen.append((done, total)))
    assert seen == []


def test_download_can_be_cancelled(published: registry.ModelInfo) -> None:
    with pytest.raises(DownloadError, match="cancelled"):
        load_sam("test", cancelled=lambda: True)
    assert not published.path.exists()


def test_hash_is_checked_before_parsing(published: registry.ModelInfo, tmp_path: Path) -> None:
    published.path.parent.mkdir()
    torch.save(Bomb(tmp_path / "trace"), published.path)
    with pytest.raises(CheckpointError, match="not the published file: its size is"):
        load_sam("test")
    content = bytearray(published.size_bytes or 0)
    published.path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not the published file: its sha256"):
        load_sam("test")


def test_registered_file_of_another_kind_is_refused(
    published: registry.ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dataclasses.replace(published, kind="vit_b")
    monkeypatch.setitem(registry._BY_NAME, "test", wrong)
    with pytest.raises(CheckpointError, match="holds vit_t, not vit_b"):
        load_sam("test")


def test_saved_network_loads_unchanged(tiny: Sam, tmp_path: Path) -> None:
    path = tmp_path / "new" / "ours.safetensors"
    save_sam(tiny, path, metadata={"licence": "BSD-3-Clause"})
    assert_same_network(load_sam(path), tiny)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "kind": "vit_t", "licence": "BSD-3-Clause"}
    assert os.listdir(path.parent) == ["ours.safetensors"]


def test_half_precision_halves_the_file(tiny: Sam, tiny_file: Path, tmp_path: Path) -> None:
    save_sam(tiny, tmp_path / "half.safetensors", dtype=torch.float16)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.51 * tiny_file.stat().st_size
    state = load_file(tmp_path / "half.safetensors")
    assert state["image_encoder.neck.0.weight"].dtype == torch.float16
    assert state["image_encoder.patch_embed.seq.0.bn.running_var"].dtype == torch.float32


def test_official_file_is_a_bare_state_dict(tiny: Sam, tmp_path: Path) -> None:
    save_official(tiny, tmp_path / "sam.pth")
    state = torch.load(tmp_path / "sam.pth", weights_only=True)
    assert list(state) == list(tiny.state_dict())
    assert all(torch.equal(state[name], value) for name, value in tiny.state_dict().items())
    assert os.listdir(tmp_path) == ["sam.pth"]


@pytest.mark.parametrize("save", [save_sam, save_official])
def test_failed_save_leaves_the_old_file(tiny: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Any) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match=r"cannot write .*a.safetensors: .*No space left"):
        save(tiny, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize("save", [save_sam, save_official])
def test_unwritable_path_is_an_error(tiny: Sam, tmp_path: Path, save: Any) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot write .*file/a.pth"):
        save(tiny, tmp_path / "file" / "a.pth")


@pytest.mark.parametrize("save", [save_sam, save_official])
def test_fused_network_is_not_saved(tmp_path: Path, save: Any) -> None:
    net = build_sam("default")
    net.image_encoder.stem.fuse()  # type: ignore[operator,union-attr]
    with pytest.raises(CheckpointError, match="save it before it is fused"):
        save(net, tmp_path / "a.pth")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": torch.int8}, "dtype is torch.int8; choose float32"),
        ({"metadata": {"steps": 3}}, "'steps' is 3"),
    ],
)
def test_bad_save_arguments_are_named(tiny: Sam, tmp_path: Path, arguments: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        save_sam(tiny, tmp_path / "a.safetensors", **arguments)


def test_weight_too_large_for_half_precision_is_named(tmp_path: Path) -> None:
    net = build_sam("default")
    torch.nn.init.constant_(net.mask_decoder.iou_token.weight, 1e6)
    with pytest.raises(CheckpointError, match=r"iou_token.weight reaches 1e\+06, too large .*use bfloat16"):
        save_sam(net, tmp_path / "a.safetensors", dtype=torch.float16)
    save_sam(net, tmp_path / "a.safetensors", dtype=torch.bfloat16)


def test_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert checkpoint_sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_fingerprint_is_independent_of_file_and_memory_layout(tiny: Sam, tiny_file: Path) -> None:
    loaded = load_sam(tiny_file)
    assert weights_fingerprint(loaded) == weights_fingerprint(tiny)
    loaded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert weights_fingerprint(loaded) == weights_fingerprint(tiny)


@pytest.mark.parametrize("change", ["value", "type", "name", "shape"])
def test_fingerprint_changes_with_every_part(change: str) -> None:
    layer = torch.nn.Linear(2, 3)
    before = weights_fingerprint(layer)
    if change == "value":
        layer.weight.data[0, 0] += 1e-6
    elif change == "shape":
        layer.weight.data = layer.weight.data.reshape(2, 3)
    elif change == "type":
        layer.double()
    assert weights_fingerprint(torch.nn.Sequential(layer) if change == "name" else layer) != before
