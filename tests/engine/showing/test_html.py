"""Results as HTML."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
from PIL import Image

from napari_sam.engine.showing.html import as_html, strip_of_scores


def pictures_in(html):
    """Return the pictures of an HTML text as arrays (h, w, 3)."""
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in re.findall(r"png;base64,([^\"]+)", html)
    ]


def test_values_are_escaped_and_missing_ones_left_out():
    html = as_html("A <b>", {"name": "<script>alert(1)</script>", "CRS": None, "failed": ""})
    assert "<script>" not in html
    assert "A &lt;b&gt;" in html
    assert "CRS" not in html
    assert "failed" not in html


def test_the_html_is_well_formed_and_holds_the_picture():
    picture = np.full((4, 6, 3), 9, np.uint8)
    html = as_html("Image", {"size": 0}, picture)
    ET.fromstring(html)
    assert np.array_equal(pictures_in(html)[0], picture)


def test_scores_become_marks_of_which_there_are_never_too_many():
    few = ET.fromstring(strip_of_scores([0.0, 1.0], [0.5], 0.4, "Scores"))
    circles = [e for e in few.iter() if e.tag.endswith("circle")]
    assert [(c.get("cx"), c.get("fill")) for c in circles] == [
        ("10.0", "#2ca02c"),
        ("246.0", "#2ca02c"),
        ("128.0", "#d62728"),
    ]
    many = strip_of_scores(np.linspace(0, 1, 5000).tolist(), [], None, "Scores")
    assert 100 <= many.count("<circle") <= 200
