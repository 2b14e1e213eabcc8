"""Label images in lossy files are refused by what the files hold, not by their names."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from src_models.lossy_pictures import check_exact, lossy_format
from src_models.model_errors import TrainingError
from src_models.training.data.picture_files import read_picture

LABELS = np.kron(np.arange(12).reshape(3, 4), np.ones((16, 16))).astype(np.uint8)
RGB = np.dstack([LABELS] * 3)


def write(path, kind):
    if kind.startswith("tiff"):
        photometric = "ycbcr" if kind == "tiff jpeg" else "rgb"
        options = {
            "tiff jpeg": {"compression": "jpeg", "photometric": photometric},
            "tiff zlib": {"compression": "zlib", "photometric": photometric},
            "tiff lossless webp": {"compression": "webp", "compressionargs": {"lossless": True}},
            "tiff webp": {"compression": "webp", "compressionargs": {"level": 50, "lossless": False}},
        }[kind]
        tifffile.imwrite(path, RGB, **{"photometric": "rgb"} | options)
    elif kind.startswith("jpeg 2000"):
        data = imagecodecs.jpeg2k_encode(LABELS, level=0 if kind.endswith("exact") else 30, reversible="exact" in kind)
        path.write_bytes(data)
    elif kind.startswith("webp"):
        frames = [Image.fromarray(RGB)] * (2 if "animated" in kind else 1)
        more = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
        frames[0].save(path, "WEBP", lossless="exact" in kind, **more)
    else:
        Image.fromarray(LABELS).save(path, kind.upper())


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        ("jpeg", "a JPEG"),
        ("webp", "a lossy WebP"),
        ("webp animated", "a lossy WebP"),
        ("jpeg 2000", "a lossy JPEG 2000"),
        ("tiff jpeg", "a TIFF of JPEG"),
        ("tiff webp", "a TIFF of lossy WebP"),
    ],
)
def test_lossy_labels_are_refused_whatever_their_name(tmp_path, kind, described):
    path = tmp_path / "labels.png"
    write(path, kind)
    assert lossy_format(path) == described
    with pytest.raises(TrainingError, match=rf"labels\.png: {described}, but labels must be exact; save them as TIFF"):
        read_picture(path, indices=True)
    assert kind == "tiff webp" or read_picture(path).shape[:2] == LABELS.shape  # as images they are fine


@pytest.mark.parametrize("kind", ["png", "bmp", "webp exact", "jpeg 2000 exact", "tiff zlib", "tiff lossless webp"])
def test_exact_labels_are_accepted(tmp_path, kind):
    write(tmp_path / "labels.jpg", kind)
    check_exact(tmp_path / "labels.jpg", TrainingError)


def test_a_file_that_may_be_lossy_is_pointed_out(tmp_path):
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x20ftypavif" + bytes(40))
    with pytest.warns(UserWarning, match=r"a\.avif: whether its labels are exact cannot be known"):
        check_exact(tmp_path / "a.avif", TrainingError)


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WEBP", b"II*\0", b"\xff\x4f\xff\x51\0\0\xff\x52"])
def test_damaged_files_are_left_to_their_reader(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert lossy_format(tmp_path / "a.png") is None
    assert lossy_format(tmp_path) is None
