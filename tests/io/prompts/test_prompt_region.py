"""Prompts of a region."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_sam.io.prompts.prompt_region import prompt_centres, prompts_within
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import keywords


def test_prompts_of_a_region_have_their_centre_in_it(image):
    nan = np.nan
    rows = [[1, 2, 31, 42, nan, nan, 0], [nan, nan, nan, nan, 9, 9, 1], [nan, nan, nan, nan, 60, 70, 2]]
    frame = pd.DataFrame([*rows, [*rows[1][:4], 11, 11, 1]], columns=["y0", "x0", "y1", "x1", "y", "x", "object"])
    table = read_prompts(frame.assign(category=list("abcb")), image)
    assert prompt_centres(table).tolist() == [[16, 22], [10, 10], [60, 70]]
    inside = prompts_within(table, (10, 10, 60, 70))
    assert keywords(inside)[1] == {"points": [[9, 9], [11, 11]], "point_labels": [1, 1]}
    assert (len(inside), inside.category, inside.number.tolist()) == (2, ["a", "b"], [0, 1])
    assert keywords(prompts_within(table, (60, 70, 61, 71))) == [{"points": [[60, 70]], "point_labels": [1]}]
