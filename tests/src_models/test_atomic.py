"""Files and folders that appear as a whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from src_models.atomic import replacing, write_bytes, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def _fail(path, begin):
    with replacing(path) as partial:
        begin(partial)
        raise RuntimeError


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2}, durable=False)
    assert path.read_text() == '{\n "a": 2\n}'
    assert names(path.parent) == ["a.json"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    write_bytes(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError):
        _fail(tmp_path / "a", lambda partial: partial.write_bytes(b"new"))
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_folder_gets_its_name_once_it_is_complete(tmp_path):
    with replacing(tmp_path / "a.zarr") as partial:
        (partial / "0").mkdir(parents=True)
        assert not (tmp_path / "a.zarr").exists()
    assert (tmp_path / "a.zarr" / "0").is_dir()
    with pytest.raises(RuntimeError):
        _fail(tmp_path / "b.zarr", lambda partial: partial.mkdir())
    assert names(tmp_path) == ["a.zarr"]


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_the_mode_is_that_of_an_ordinary_new_file(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    with replacing(tmp_path / "a") as partial:
        partial.write_bytes(b"")
        partial.chmod(0o600)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "a", b"old")
    code = (
        "import os, sys; from pathlib import Path; from src_models.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n    partial.write_bytes(b'new'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False).returncode == 9
    assert (tmp_path / "a").read_bytes() == b"old"
    write_bytes(tmp_path / "a", b"newer")  # what it left behind is not in the way
    assert (tmp_path / "a").read_bytes() == b"newer"
