"""The list of classes as a tree."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_sam.widgets.objects.class_list import ClassList


def listed(name, parent=None, key=None, colour="#ff0000"):
    return SimpleNamespace(name=name, parent=parent, key=key, colour=colour)


@pytest.fixture
def classes(qtbot):
    made = ClassList()
    qtbot.addWidget(made)
    made.show_classes([listed("mitotic", "cell", 2), listed("cell", key=1), listed("debris")], {"cell": 3})
    return made


def test_classes_lie_below_those_that_they_are_kinds_of(classes):
    tops = [classes.tree.topLevelItem(i) for i in range(classes.tree.topLevelItemCount())]
    assert [[item.text(column) for column in range(3)] for item in tops] == [["cell", "1", "3"], ["debris", "", "0"]]
    assert tops[0].child(0).text(0) == "mitotic"
    assert tops[0].isExpanded()


def test_the_choice_survives_other_classes_and_is_told_when_it_goes(classes, qtbot):
    assert not classes.assign.isEnabled()
    classes.choose("cell")
    assert classes.current == "cell"
    assert classes.assign.isEnabled()
    with qtbot.assertNotEmitted(classes.chosen):
        classes.show_classes([listed("cell"), listed("new")], {})
    with qtbot.waitSignal(classes.chosen) as told:
        classes.show_classes([listed("new")], {})
    assert told.args == [None]
    assert not classes.assign.isEnabled()


def test_an_edited_name_is_told_with_the_one_before(classes, qtbot):
    classes.choose("debris")
    with qtbot.waitSignal(classes.renamed) as told:
        classes.tree.currentItem().setText(0, ' "dirt"/🔬 ')
    assert told.args == ["debris", '"dirt"/🔬']


def test_ten_thousand_classes_are_listed(classes):
    classes.show_classes([listed(f"class {i}") for i in range(10_000)], {})
    assert classes.tree.topLevelItemCount() == 10_000
