"""Filter expressions: what they mean, what they refuse, and that they run no code."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.selection.expression import Expression

COLUMNS = {
    "area_px": np.array([1.0, 5.0, np.nan, 20.0]),
    "category": np.array(["cell", None, "it's", "cell"], object),
    "touches_border": np.array([True, False, False, True]),
    "label": np.array([1.0, 2.0, 3.0, 4.0]),
}


def chosen(text):
    return (np.flatnonzero(Expression(text).evaluate(COLUMNS, 4)) + 1).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("area_px > 2", [2, 4]),
        ("area_px >= 5 and category == 'cell'", [4]),
        ("not touches_border", [2, 3]),
        ("touches_border or area_px == 5", [1, 2, 4]),
        ("touches_border == True", [1, 4]),
        ("1 < area_px <= 5", [2]),
        ("category == None", [2]),
        ("category is not None", [1, 3, 4]),
        ("area_px == None", [3]),
        ("area_px != None", [1, 2, 4]),
        ("category != 'cell'", [2, 3]),
        ('class == "it\'s"', [3]),
        ("category == 'class'", []),
        ("category in ('cell', 'other')", [1, 4]),
        ("category not in ['cell']", [2, 3]),
        ("category in ('cell', None)", [1, 2, 4]),
        ("label in (1, 3)", [1, 3]),
        ("area_px / label > 2", [2, 4]),
        ("area_px * 2 - 1 == 9", [2]),
        ("-area_px < -4", [2, 4]),
        ("area_px / 0 > 1", [1, 2, 4]),
        ("(area_px > 2\n and touches_border)", [4]),
        ("True", [1, 2, 3, 4]),
        (" area_px > 2 ", [2, 4]),
        ("area_px > 1e400", []),
    ],
)
def test_expressions_choose_objects(text, expected):
    assert chosen(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (None, "empty"),
        ("area_px >", "cannot be parsed"),
        ("area_px > 'a", "cannot be parsed"),
        ("area_px = 5", "cannot be parsed"),
        ("area > 5", "names 'area', which is no column"),
        ("area_px", "no condition"),
        ("'cell'", "no condition"),
        ("area_px == 'cell'", "compares a number with text"),
        ("category == cell", "names 'cell'"),
        ("category > 'a'", "orders text"),
        ("area_px > None", "orders None"),
        ("category and True", "uses text as a condition"),
        ("category + 1 > 2", "calculates with text"),
        ("area_px in category", "list after 'in'"),
        ("(1, 2)", "list outside"),
        ("(area_px > 5) & (area_px < 9)", "'&'"),
        ("~touches_border", "'~'"),
        ("__import__('os').system('true')", "'Call'"),
        ("area_px.real > 1", "'Attribute'"),
        ("[x for x in (1, 2)] == 1", "'ListComp'"),
        ("(lambda: 1) == 1", "'Lambda'"),
        ("area_px[0] > 1", "'Subscript'"),
        ("area_px ** 9 > 1", "'Pow'"),
        ("area_px if True else 1", "'IfExp'"),
        ("f'{area_px}' == 'a'", "'JoinedStr'"),
        ("area_px > 1j", "1j"),
        ("category == b'a'", "b'a'"),
        ("area_px > 1" + "0" * 400, "too large"),
        ("a" * 10_001, "10001 characters"),
        ("(" * 150 + "1" + ")" * 150 + " +" * 200, "cannot be parsed"),
        ("not " * 150 + "True", "cannot have|cannot be parsed"),
        ("area_px > 1\0", "cannot be parsed"),
    ],
)
def test_everything_else_is_refused(text, message):
    with pytest.raises(LabelsError, match=message) as caught:
        chosen(text)
    assert caught.value.remedy


def test_a_misspelled_column_is_guessed():
    with pytest.raises(LabelsError, match="did you mean touches_border"):
        chosen("touches_boarder")


def test_the_names_of_an_expression_are_known_before_it_is_evaluated():
    assert Expression("a > 1 and (b == 'c' or not class in ('d',))").names == {"a", "b", "category"}
