"""Prompts that are not valid are named, or skipped and counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import keywords, written


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("5,5,5,9", r"p\.csv: line 3: box \(5, 5, 5, 9\) is empty"),
        ("5,5,nan,9", "line 3: y0 = 5, x0 = 5, y1 = nan, x1 = 9: not finite"),
        ("5,5,inf,9", "line 3: .* not finite"),
        ("5,5,eight,9", "y1 = eight.*: not finite numbers"),
        ("100,5,120,9", r"outside the image of shape \(100, 200\)"),
        ("5,200,12,209", "outside the image"),
    ],
)
def test_a_bad_box_is_named_or_skipped_and_counted(tmp_path, image, row, words):
    path = written(tmp_path / "p.csv", f"y0,x0,y1,x1\n1,2,3,4\n{row}\n5,6,7,8\n")
    with pytest.raises(PromptError, match=words) as found:
        read_prompts(path, image)
    assert found.value.remedy.endswith("{errors=skip}")
    table = read_prompts(path, image, errors="skip")
    assert keywords(table) == [{"box": [1, 2, 3, 4]}, {"box": [5, 6, 7, 8]}]
    assert sum(table.skipped.values()) == 1
    assert table.number.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"y": [5], "x": [201]}, r"row 0: point \(5, 201\) lies outside"),
        ({"y": [5], "x": [7], "label": [4]}, "label 4.*called 'object'"),
        ({"y": [5], "x": [7], "label": [0]}, "background point"),
        ({"y": [5], "x": [7], "label": [0], "object": [1]}, "background points only"),
        ({"y": [5], "x": [7], "object": [[1]]}, r"row 0: object \[1\]: give a number or a word"),
        ({"y": [5 + 2j], "x": [7]}, r"row 0: y = \(5\+2j\), x = 7: not finite numbers"),
        ({"y": [10**400], "x": [7]}, "row 0: .*: not finite numbers"),
        ({"a": [1]}, "columns 'a'; give y0, x0, y1, x1"),
    ],
)
def test_bad_points_are_named(image, columns, words):
    with pytest.raises(PromptError, match=words):
        read_prompts(pd.DataFrame(columns), image)


@pytest.mark.parametrize(
    ("columns", "skipped"),
    [
        ({"object": [[1], 2]}, {"object": 1}),
        ({"label": [np.nan, 1]}, {"label": 1}),
        ({"label": [0, 1], "object": [1, 2]}, {"alone": 1}),
        ({"y": np.array([1 + 1j, 2], object)}, {"not finite": 1}),
        ({"y": [10**400, 2]}, {"not finite": 1}),
    ],
)
def test_bad_points_are_skipped_one_by_one(image, columns, skipped):
    table = read_prompts(pd.DataFrame({"y": [1, 2], "x": [3, 4], **columns}), image, errors="skip")
    assert keywords(table) == [{"points": [[2, 4]], "point_labels": [1]}]
    assert table.skipped == skipped


def test_a_box_beyond_the_largest_mask_is_refused():
    from napari_sam.io.images.lazy_image import Image

    image = Image([np.broadcast_to(np.uint8(0), (40_000, 40_000))], "yx", "large", (0,))
    with pytest.raises(PromptError, match="spans more than"):
        read_prompts([[0, 0, 30_000, 30_000]], image)
