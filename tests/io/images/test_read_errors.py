"""The message for a failed read depends on what failed."""

from __future__ import annotations

import pytest

from napari_sam.io.images.read_errors import READ_ERRORS, read_error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory; read a smaller region"),
        (FileNotFoundError("gone"), "cannot be reached: gone; check that the file exists"),
        (TimeoutError(), "cannot be reached: TimeoutError"),
        (ValueError("bad segment"), "cannot be read: bad segment; if the file still exists, it is damaged"),
    ],
)
def test_a_failed_read_names_image_level_and_remedy(error, words):
    assert isinstance(error, READ_ERRORS)
    message = str(read_error("a.tif", 2, error))
    assert message.startswith("a.tif: scale level 2")
    assert words in message


def test_what_is_not_supported_is_not_called_damaged():
    for error in (
        NotImplementedError("JPEG-LS"),
        ValueError("unsupported compression 12"),
        ValueError("unknown codec x"),
    ):
        said = str(read_error("a.tif", 0, error))
        assert "not supported" in said
        assert "damaged" not in said
