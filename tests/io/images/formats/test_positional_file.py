"""A file read by many threads at given offsets."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_sam.io.images.formats.positional_file import PositionalFile


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def test_threads_read_their_own_parts(path):
    file, content = PositionalFile(str(path)), path.read_bytes()
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: file.read(i * 37, 37), range(200)))
    assert b"".join(parts) == content[: 200 * 37]


def test_a_buffer_is_filled(path):
    target = bytearray(10)
    PositionalFile(str(path)).read_into(5, memoryview(target))
    assert target == bytes(range(5, 15))


def test_the_end_of_the_file_is_an_error(path):
    with pytest.raises(OSError, match="ends at byte 10240, 5 bytes early"):
        PositionalFile(str(path)).read(10_235, 10)


def test_a_changed_file_is_an_error_and_not_other_bytes(path):
    file = PositionalFile(str(path))
    os.utime(path, (1, 1))
    with pytest.raises(OSError, match="changed since it was opened"):
        file.read(0, 5)
