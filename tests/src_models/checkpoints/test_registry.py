"""Registered models."""

from __future__ import annotations

import dataclasses
import string
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from src_models.checkpoints.registry import is_cached, model_info, model_names, weights_dir
from src_models.model_errors import NapariSamError, UnknownModelError
from src_models.networks.build_network import network_kinds


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    return tmp_path


def test_default_comes_first_and_with_the_package() -> None:
    assert model_names()[0] == "default"
    assert model_info("default").path.parts[-3:] == ("src_models", "weights", "default.safetensors")


def test_every_size_of_network_has_published_weights() -> None:
    assert set(network_kinds()) <= set(model_names())
    assert all(model_info(kind).kind == kind for kind in network_kinds())


@pytest.mark.parametrize("name", [name for name in model_names() if name != "default"])
def test_published_model_can_be_fetched_and_checked(name: str) -> None:
    info = model_info(name)
    assert info.kind in network_kinds()
    assert urlsplit(info.url or "").scheme == "https"
    algorithm, digest = info.expected.digest or ("none", "")
    assert len(digest) == {"sha256": 64, "xxh128": 32}[algorithm]
    assert set(digest) <= set(string.hexdigits.lower())
    assert info.licence
    assert info.description


def test_no_two_models_share_a_file_a_hash_or_an_address() -> None:
    infos = [model_info(name) for name in model_names()]
    for field in ("filename", "url"):
        assert len({getattr(info, field) for info in infos}) == len(infos)
    assert len({info.expected.digest for info in infos}) == len(infos)


@pytest.mark.parametrize("size", ["vit_b", "vit_l", "vit_h"])
def test_official_file_has_its_published_name_and_size(size: str) -> None:
    info = model_info(size)
    assert info.filename.startswith(f"sam_{size}_")
    assert (info.url or "").endswith(info.filename)
    assert info.size_bytes is not None
    assert info.size_bytes > 300_000_000


def test_info_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        model_info("vit_b").sha256 = "0"  # type: ignore[misc]


@pytest.mark.parametrize(("typo", "meant"), [("vit-b-lm", "vit_b_lm"), ("ViT-B", "vit_b"), ("defualt", "default")])
def test_unknown_name_lists_similar_and_all_names(typo: str, meant: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        model_info(typo)
    message = str(caught.value)
    close, everything = message.split("; ")
    assert repr(typo) in close
    assert meant in close
    assert all(name in everything for name in model_names())
    assert isinstance(caught.value, NapariSamError)


def test_name_without_similar_ones_lists_all_names() -> None:
    with pytest.raises(UnknownModelError, match="unknown model 'qqqq'; choose one of default, vit_t"):
        model_info("qqqq")


def test_cache_folder_can_be_set(cache: Path) -> None:
    assert weights_dir() == cache
    assert model_info("vit_b").path == cache / "sam_vit_b_01ec64.pth"


def test_cache_folder_may_be_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM_CACHE", "~/models")
    assert weights_dir() == Path.home() / "models"


@pytest.mark.skipif(sys.platform == "win32", reason="XDG is not of Windows")
@pytest.mark.parametrize(
    ("xdg", "expected"),
    [
        ("/somewhere", "/somewhere/napari-sam-xl"),
        ("relative", "/me/.cache/napari-sam-xl"),
        ("", "/me/.cache/napari-sam-xl"),
    ],
)
def test_cache_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, xdg: str, expected: str) -> None:
    monkeypatch.delenv("NAPARI_SAM_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/me")
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert weights_dir() == Path(expected)


def test_cache_folder_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_SAM_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert weights_dir() == tmp_path / "napari-sam-xl"


def test_file_of_the_wrong_size_is_not_cached(cache: Path) -> None:
    info = dataclasses.replace(model_info("vit_t"), size_bytes=4)
    assert not is_cached(info)
    (cache / info.filename).write_bytes(b"abc")
    assert not is_cached(info)
    (cache / info.filename).write_bytes(b"abcd")
    assert is_cached(info)


def test_file_without_published_size_is_cached_if_there(cache: Path) -> None:
    assert not is_cached(model_info("vit_b_lm"))
    (cache / "vit_b_lm.pt").write_bytes(b"abc")
    assert is_cached(model_info("vit_b_lm"))


def test_neither_list_nor_download_imports_torch() -> None:
    code = (
        "import sys, src_models.checkpoints.registry, src_models.checkpoints.download; sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0
