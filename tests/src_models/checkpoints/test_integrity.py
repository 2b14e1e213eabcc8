"""Comparison of files with their published size and hash."""

from __future__ import annotations

import hashlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from src_models.checkpoints.integrity import Expected, file_digest, mismatch, new_hasher, verify_file
from src_models.model_errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * 10_000)  # more than one chunk
    return path


def test_digest_covers_the_whole_file(file: Path) -> None:
    assert file_digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_expected_file_passes(file: Path) -> None:
    expected = Expected(2_560_000, hashlib.sha256(file.read_bytes()).hexdigest().upper())
    assert mismatch(file, expected) is None


def test_size_is_checked_before_the_hash(file: Path) -> None:
    with pytest.raises(CheckpointError, match="2560000 bytes, not 5; delete it to download again"):
        verify_file(file, Expected(5, "0" * 64))


def test_wrong_hash_is_named(file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"sha256 \w{8}\.\.\. is not 00000000"):
        verify_file(file, Expected(sha256="0" * 64))


def test_sha256_takes_precedence_over_xxh128(file: Path) -> None:
    good = hashlib.sha256(file.read_bytes()).hexdigest()
    assert mismatch(file, Expected(sha256=good, xxh128="0" * 32)) is None


def test_hashing_can_be_stopped(file: Path) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        file_digest(file, on_chunk=stop)


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_unreadable_path_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match=f"cannot read .*{name}"):
        file_digest(tmp_path / name)


def test_folder_is_not_a_file(tmp_path: Path) -> None:
    assert mismatch(tmp_path, Expected()) == "it is not a file"


def test_missing_xxhash_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    with pytest.raises(CheckpointError, match="pip install xxhash"):
        new_hasher("xxh128")


def test_xxh128_comes_from_xxhash(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    stand_in = ModuleType("xxhash")
    stand_in.__dict__["xxh128"] = hashlib.sha1
    monkeypatch.setitem(sys.modules, "xxhash", stand_in)
    assert file_digest(file, "xxh128") == hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


def test_xxh128_is_the_published_function(tmp_path: Path) -> None:
    pytest.importorskip("xxhash")
    empty = tmp_path / "empty"
    empty.touch()
    # the reference implementation's value for no bytes
    assert mismatch(empty, Expected(xxh128="99aa06d3014798d86001c324468d497f")) is None


def test_the_first_verified_file_is_pinned_by_its_sha256(tmp_path):
    import hashlib

    from src_models.checkpoints.integrity import check_pin

    path = tmp_path / "model.pt"
    path.write_bytes(b"first")
    check_pin(path)
    pin = tmp_path / "model.pt.sha256"
    assert pin.read_text().split() == [hashlib.sha256(b"first").hexdigest(), "model.pt"]
    check_pin(path)
    path.write_bytes(b"other")
    with pytest.raises(CheckpointError, match=r"first download.*model\.pt\.sha256"):
        check_pin(path)
    pin.unlink()
    check_pin(path)


def test_a_model_with_a_weak_hash_is_pinned_when_it_is_fetched(tmp_path, monkeypatch):
    from dataclasses import replace

    xxhash = pytest.importorskip("xxhash")
    from src_models.checkpoints.download import fetch_model
    from src_models.checkpoints.registry import model_info

    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    info = replace(model_info("vit_t_lm"), xxh128=xxhash.xxh128(b"weights").hexdigest(), decoder=None)
    info.path.parent.mkdir(parents=True, exist_ok=True)
    info.path.write_bytes(b"weights")
    assert fetch_model(info) == info.path
    pin = info.path.with_name(f"{info.path.name}.sha256")
    pin.write_text("0" * 64)
    with pytest.raises(CheckpointError, match="first download"):
        fetch_model(info)
