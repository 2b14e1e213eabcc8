"""Files that hold an instance decoder of micro-sam, and files that do not."""

from __future__ import annotations

import dataclasses
import os
import string
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from src_models.checkpoints import registry
from src_models.checkpoints.checkpoint_files import load_dense_decoder
from src_models.checkpoints.instance_decoders import detect_upsampling, unetr_from_state
from src_models.checkpoints.integrity import file_digest
from src_models.checkpoints.registry import model_info, model_names
from src_models.model_errors import CheckpointError, DeviceError, DownloadError, UnknownModelError
from src_models.networks.unetr import UnetrDecoder, Upsampling
from tests.src_models.checkpoints.file_server import file_server
from tests.src_models.random_decoder import UPSAMPLINGS, random_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

State = dict[str, Tensor]

MICRO_SAM = (
    "vit_t_lm",
    "vit_b_lm",
    "vit_l_lm",
    "vit_t_em_organelles",
    "vit_b_em_organelles",
    "vit_l_em_organelles",
    "vit_b_histopathology",
    "vit_l_histopathology",
    "vit_h_histopathology",
)
SAM_STATE = {"image_encoder.stem.c.weight": torch.ones(2), "mask_decoder.iou_token.weight": torch.zeros(1, 256)}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def decoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder as micro-sam publishes it."""
    path = tmp_path_factory.mktemp("weights") / "vit_b_decoder.pt"
    torch.save(OrderedDict(random_decoder("bilinear").state_dict()), path)
    return path


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_upsampling_follows_from_the_keys(upsampling: Upsampling) -> None:
    with torch.device("meta"):
        state = UnetrDecoder(upsampling).state_dict()
    assert detect_upsampling(state, Path("a.pt")) == upsampling


def test_decoder_built_from_a_state_is_a_copy(decoder: UnetrDecoder, embedding: Tensor) -> None:
    state = {name: value.clone() for name, value in decoder.state_dict().items()}
    built = unetr_from_state(state, Path("a.pt"))
    for value in state.values():
        value.zero_()
    assert built.upsampling == decoder.upsampling
    assert not built.training
    assert all(parameter.requires_grad for parameter in built.parameters())
    with torch.inference_mode():
        assert torch.equal(built(embedding[:1]), decoder(embedding[:1]))


def assert_same(loaded: UnetrDecoder, state: State) -> None:
    own = loaded.state_dict()
    assert own.keys() == state.keys()
    assert all(torch.equal(own[name], state[name]) for name in own)


@pytest.mark.parametrize("writer", ["zip", "legacy", "safetensors"])
def test_file_of_a_decoder_loads(decoder: UnetrDecoder, tmp_path: Path, writer: str) -> None:
    path = tmp_path / "any_name.pt"
    if writer == "safetensors":
        save_file(decoder.state_dict(), path)
    else:
        torch.save(decoder.state_dict(), path, _use_new_zipfile_serialization=writer == "zip")
    loaded = load_dense_decoder(str(path))
    path.write_bytes(b"")
    assert_same(loaded, decoder.state_dict())
    assert loaded.upsampling == decoder.upsampling
    assert not loaded.training


def test_half_precision_file_becomes_float32(decoder_file: Path, tmp_path: Path) -> None:
    state = torch.load(decoder_file, weights_only=True)
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    torch.save(half, tmp_path / "half.pt")
    loaded = load_dense_decoder(tmp_path / "half.pt")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.out_conv.weight, half["out_conv.weight"].float())


def test_decoder_of_a_training_checkpoint_loads(decoder_file: Path, tmp_path: Path) -> None:
    state = torch.load(decoder_file, weights_only=True)
    content = {
        "model_state": {f"sam.{name}": value for name, value in SAM_STATE.items()},
        "decoder_state": state,
        "optimizer_state": {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 1e-5}]},
        "epoch": 3,
    }
    torch.save(content, tmp_path / "best.pt")
    assert_same(load_dense_decoder(tmp_path / "best.pt"), state)


def changed(state: State, change: str) -> Any:
    """A file's content that is not an instance decoder, or is a broken one."""
    name = "out_conv.weight"
    unetr = {**state, "encoder.patch_embed.proj.weight": torch.ones(1)}
    contents: dict[str, Any] = {
        "a SAM": SAM_STATE,
        "a SAM with no decoder": {"model_state": SAM_STATE, "decoder_state": None},
        "a SAM with an empty decoder": {"model_state": SAM_STATE, "decoder_state": {}},
        "a UNETR": {"model_state": unetr},
        "a U-Net": {"encoder.blocks.0.block.1.weight": torch.ones(1), "decoder.samplers.0.conv.weight": torch.ones(1)},
        "a classifier": {"fc.bias": torch.ones(1), "fc.weight": torch.ones(1)},
        "missing": {key: value for key, value in state.items() if key != name},
        "missing samplers": {key: value for key, value in state.items() if "samplers.0" not in key},
        "unexpected": {**state, "out_conv2.weight": torch.ones(1)},
        "four channels": {**state, name: torch.ones(4, 64, 1, 1)},
        "integer": {**state, name: torch.ones(3, 64, 1, 1).int()},
        "mixed": {**state, "decoder.samplers.1.block.weight": torch.ones(256, 128, 2, 2)},
        "in a checkpoint": {"model_state": SAM_STATE, "decoder_state": {**state, name: torch.ones(4, 64, 1, 1)}},
    }
    return contents[change]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("a SAM", r"holds a SAM network and no instance decoder; give .*_decoder.pt"),
        ("a SAM with no decoder", "holds a SAM network and no instance decoder"),
        ("a SAM with an empty decoder", "holds a SAM network and no instance decoder"),
        ("a UNETR", "holds a whole UNETR.*export_instance_segmentation_model"),
        ("a U-Net", "not an instance decoder of micro-sam, its keys are decoder.samplers.0.conv.weight, encoder"),
        ("a classifier", "not an instance decoder of micro-sam, its keys are fc.bias, fc.weight; give"),
        ("missing", r"instance decoder \(bilinear\) but does not fit it: 1 keys are missing \(out_conv.weight\)"),
        ("missing samplers", "2 keys are missing"),
        ("unexpected", r"1 keys are unexpected \(out_conv2.weight\)"),
        ("four channels", r"out_conv.weight is \(4, 64, 1, 1\), not \(3, 64, 1, 1\)"),
        ("integer", "wrong type .*int32"),
        ("mixed", r"instance decoder \(transposed\) but does not fit it: .*missing"),
        ("in a checkpoint", r"out_conv.weight is \(4, 64, 1, 1\)"),
    ],
)
def test_other_states_are_refused_with_their_content(
    decoder_file: Path, tmp_path: Path, change: str, message: str
) -> None:
    path = tmp_path / "other.pt"
    torch.save(changed(torch.load(decoder_file, weights_only=True), change), path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_dense_decoder(path)
    assert str(path) in str(caught.value)


def test_network_in_safetensors_is_no_decoder(tmp_path: Path) -> None:
    save_file(SAM_STATE, tmp_path / "sam.safetensors")
    with pytest.raises(CheckpointError, match="holds a SAM network and no instance decoder"):
        load_dense_decoder(tmp_path / "sam.safetensors")


def test_state_without_tensors_is_refused() -> None:
    with pytest.raises(CheckpointError, match="not an instance decoder of micro-sam"):
        unetr_from_state({}, Path("a.pt"))


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_pickle_that_runs_code_is_refused_without_running_it(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    torch.save({"model_state": SAM_STATE, "decoder_state": Bomb(trace)}, path)
    with pytest.raises(CheckpointError, match=r"evil.pt holds Python objects \(posix.mkdir\)"):
        load_dense_decoder(path)
    assert not trace.exists()


def test_missing_and_damaged_files_are_named(decoder_file: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_dense_decoder(tmp_path / "vit_b_decoder.pt")
    (tmp_path / "cut.pt").write_bytes(decoder_file.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"cut.pt is damaged"):
        load_dense_decoder(tmp_path / "cut.pt")


def test_unusable_device_is_reported_before_a_file_is_read() -> None:
    with pytest.raises(DeviceError, match="device 'cuda:99' cannot be used here"):
        load_dense_decoder("no such file.pt", device="cuda:99")


@pytest.mark.parametrize("name", ["default", "vit_t", "vit_b", "vit_l", "vit_h"])
def test_model_without_a_decoder_is_named_with_those_that_have_one(name: str) -> None:
    with pytest.raises(UnknownModelError, match=f"no instance decoder for '{name}'; choose") as caught:
        load_dense_decoder(name)
    assert ", ".join(MICRO_SAM) in str(caught.value)


def test_name_that_is_neither_model_nor_path_is_unknown() -> None:
    with pytest.raises(UnknownModelError, match=r"unknown model 'vit_b_lm_decoder' \(did you mean vit_b_lm "):
        load_dense_decoder("vit_b_lm_decoder")


def test_models_of_micro_sam_have_decoders_and_the_others_none() -> None:
    assert tuple(name for name in model_names() if model_info(name).decoder is not None) == MICRO_SAM


@pytest.mark.parametrize("name", MICRO_SAM)
def test_published_decoder_can_be_fetched_and_checked(name: str) -> None:
    model = model_info(name)
    info = model.decoder
    assert info is not None
    assert (info.name, info.kind, info.filename) == (f"{name}_decoder", "unetr", f"{name}_decoder.pt")
    assert info.licence == model.licence
    assert info.decoder is None
    algorithm, digest = info.expected.digest or ("none", "")
    assert (algorithm, len(digest)) == ("xxh128", 32)
    assert set(digest) <= set(string.hexdigits.lower())


def test_decoder_is_published_beside_its_network() -> None:
    model = model_info("vit_l_lm")
    assert model.url == "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io/idealistic-rat/1.2/files/vit_l.pt"
    assert model.decoder is not None
    assert model.decoder.url == model.url.replace("vit_l.pt", "vit_l_decoder.pt")


def test_no_two_files_share_a_name_a_hash_or_an_address() -> None:
    models = [model_info(name) for name in model_names()]
    files = models + [model.decoder for model in models if model.decoder is not None]
    for field in ("filename", "url"):
        assert len({getattr(info, field) for info in files}) == len(files)
    assert len({info.expected.digest for info in files}) == len(files)


@pytest.fixture
def published(decoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[registry.ModelInfo]:
    """A model with the decoder on a server of this machine, and with a network that cannot be had."""
    with file_server(decoder_file.parent, tmp_path / "cache", monkeypatch) as address:
        xxh128 = file_digest(decoder_file, "xxh128")
        info = registry.ModelInfo(
            "test_decoder", "unetr", f"{address}/{decoder_file.name}", None, None, "MIT", "", "test_decoder.pt", xxh128
        )
        model = registry.ModelInfo("test", "vit_b", f"{address}/none.pt", 1, "0", "MIT", "", "test.pt", None, info)
        monkeypatch.setitem(registry._BY_NAME, "test", model)
        yield info


def test_registered_name_is_downloaded_once(published: registry.ModelInfo, decoder_file: Path) -> None:
    seen: list[int] = []
    state = torch.load(decoder_file, weights_only=True)
    assert_same(load_dense_decoder("test", progress=lambda done, total: seen.append(done)), state)
    assert seen[-1] == decoder_file.stat().st_size
    assert published.path.is_file()
    seen.clear()
    assert_same(load_dense_decoder("test", progress=lambda done, total: seen.append(done)), state)
    assert seen == []


def test_download_can_be_cancelled(published: registry.ModelInfo) -> None:
    with pytest.raises(DownloadError, match="cancelled"):
        load_dense_decoder("test", cancelled=lambda: True)
    assert not published.path.exists()


def test_hash_is_checked_before_parsing(published: registry.ModelInfo, tmp_path: Path) -> None:
    published.path.parent.mkdir()
    torch.save(Bomb(tmp_path / "trace"), published.path)
    with pytest.raises(CheckpointError, match="not the published file: its xxh128"):
        load_dense_decoder("test")
    assert not (tmp_path / "trace").exists()


def test_published_file_of_something_else_is_refused(
    published: registry.ModelInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.path.parent.mkdir()
    torch.save(SAM_STATE, published.path)
    other = dataclasses.replace(published, xxh128=file_digest(published.path, "xxh128"))
    monkeypatch.setitem(registry._BY_NAME, "test", dataclasses.replace(model_info("test"), decoder=other))
    with pytest.raises(CheckpointError, match=r"test_decoder.pt holds a SAM network"):
        load_dense_decoder("test")
