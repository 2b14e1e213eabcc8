"""ImageJ ROIs: traced outlines and composites."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest
from roifile import ROI_TYPE, ImagejRoi

from napari_sam.io.exports.writers.write_imagej_rois import make_roi
from napari_sam.io.labels.label_store import LabelStore
from tests.io.exports.drawings import drawn, filled


def test_an_imagej_roi_of_a_plain_outline_is_a_traced_one(small, tmp_path):
    with zipfile.ZipFile(small.export(tmp_path / "r.zip")) as file:
        assert file.namelist() == ["0000001.roi", "0000002.roi"]
        roi = file.read("0000002.roi")
    assert struct.unpack(">4shBx5h", roi[:18]) == (b"Iout", 227, 8, 2, 6, 4, 8, 4)
    corners = np.frombuffer(roi[64:80], ">i2").reshape(2, 4).T + np.array([6, 2])
    assert corners.tolist() == [[8, 2], [8, 4], [6, 4], [6, 2]]
    start, length = struct.unpack(">ii", roi[96:104])
    assert roi[start:].decode("utf-16-be") == "0000002"
    assert length == 7


def test_an_imagej_roi_with_a_hole_is_a_composite(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(6, 6)) as labels:
        labels.paint(drawn("111 101 111"), (1, 1))
        with zipfile.ZipFile(labels.export(tmp_path / "r.zip")) as file:
            roi = file.read("0000001.roi")
    kind, size = roi[6], struct.unpack(">i", roi[36:40])[0]
    assert (kind, size) == (1, 2 * (4 * 3 + 1))
    path = np.frombuffer(roi[64 : 64 + 4 * size], ">f4")
    assert path[[0, 3, 12]].tolist() == [0, 1, 4]  # move, line, close
    rings = [path[i : i + 12].reshape(4, 3)[:, 1:].astype(int).tolist() for i in (0, 13)]
    np.testing.assert_array_equal(filled([rings], (6, 6)), labels_of_ring())


def labels_of_ring():
    expected = np.zeros((6, 6), bool)
    expected[1:4, 1:4] = True
    expected[2, 2] = False
    return expected


VERSION_0_1 = {  # .roi files that version 0.1 wrote
    "traced": (
        "496f757400e30800000200060004000800040000000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000050000200020000000000000002000200000000000000000000000000030000000000000090"
        "0000000700000000000000000000000000000000000000000000000000000000000000000000000000000000003000300030"
        "0030003000300032"
    ),
    "composite": (
        "496f757400e30100000100010004000400000000000000000000000000000000000000000000001a00000000000000000000"
        "00000000000000000000000000a800000000408000003f8000003f80000040800000408000003f8000003f80000040800000"
        "3f8000003f8000003f800000408000000000000040000000400000003f80000040000000404000003f800000404000004040"
        "00003f80000040400000400000004080000000000000000000010000000000000005000000e8000000070000000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000030003000300030003000300031"
    ),
}


@pytest.mark.parametrize(
    ("kind", "polygons", "name", "plane"),
    [
        ("traced", [[[(8, 2), (8, 4), (6, 4), (6, 2)]]], "0000002", {"z": 2}),
        (
            "composite",
            [[[(4, 1), (4, 4), (1, 4), (1, 1)], [(2, 2), (2, 3), (3, 3), (3, 2)]]],
            "0000001",
            {"c": 0, "t": 4},
        ),
    ],
)
def test_rois_have_the_bytes_of_version_0_1(kind, polygons, name, plane):
    assert make_roi(polygons, name, plane).tobytes().hex() == VERSION_0_1[kind]


def test_a_roi_read_back_has_the_outline_and_the_name():
    roi = ImagejRoi.frombytes(make_roi([[[(8, 2), (8, 4), (6, 4), (6, 2)]]], "0000002").tobytes())
    assert roi.coordinates().tolist() == [[8, 2], [8, 4], [6, 4], [6, 2]]
    assert (roi.name, roi.roitype) == ("0000002", ROI_TYPE.TRACED)


def test_an_outline_beyond_16_bits_is_a_composite():
    roi = make_roi([[[(40_000, 2), (40_000, 4), (39_998, 4), (39_998, 2)]]], "1")
    assert roi.composite
    assert roi.multi_coordinates[1] == 40_000
