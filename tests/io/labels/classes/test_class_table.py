"""Classes of a label store: names, colours, hierarchy, keys; every change is undone in one step and journalled."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal.class_rows import PALETTE
from napari_sam.io.labels.label_store import LabelStore

ODD_NAMES = [
    'it\'s "quoted"',
    "a/b\\c",
    "\U0001f52c cells",
    "; DROP TABLE classes",
    "unchanged",
    "Größe: 5 µm",
    "%s {0}",
]


@pytest.fixture
def three(labels):
    """Three squares, 1 to 3."""
    pixels = np.zeros((10, 50), int)
    for label in (1, 2, 3):
        pixels[:5, label * 10 : label * 10 + 5] = label
    labels.paint(pixels, (0, 0))
    return labels


def classes_of(store):
    return [(item.name, item.colour, item.parent, item.key) for item in store.classes]


def categories(store):
    return {row.label: row.category for row in store.journal.objects.table()}


def test_a_class_has_a_name_a_colour_a_parent_and_a_key(labels):
    labels.classes.add("cell", key=3)
    labels.classes.add("neuron", (255, 0, 128), parent="cell")
    assert classes_of(labels) == [("cell", PALETTE[0], None, 3), ("neuron", "#ff0080", "cell", None)]
    assert labels.classes.keys == {3: "cell"}
    assert labels.classes.hierarchy == {"cell": None, "neuron": "cell"}
    assert labels.classes.descendants("cell") == ["cell", "neuron"]


def test_a_new_category_becomes_a_class_with_its_own_colour(three):
    three.set_category({1: "b", 2: "a"})
    assert classes_of(three) == [("b", PALETTE[0], None, None), ("a", PALETTE[1], None, None)]
    three.undo()
    assert classes_of(three) == []
    three.redo()
    assert three.classes.counts() == {"b": 1, "a": 1}


def test_every_change_of_classes_is_undone_and_redone_in_one_step(three):
    three.classes.add("cell", key=1)
    three.set_category([1, 2], "cell")
    three.classes.add("part", parent="cell")
    states = [(classes_of(three), categories(three))]
    for change in (
        lambda: three.classes.rename("cell", "Zelle"),
        lambda: three.classes.update("part", colour="#123456", key=1),
        lambda: three.classes.remove("Zelle", into="part"),
        lambda: three.classes.remove("part"),
    ):
        change()
        states.append((classes_of(three), categories(three)))
    assert len({str(state) for state in states}) == len(states)
    for state in states[-2::-1]:
        three.undo()
        assert (classes_of(three), categories(three)) == state
    for state in states[1:]:
        three.redo()
        assert (classes_of(three), categories(three)) == state


def test_renaming_a_class_takes_its_objects_and_children_along(three):
    three.set_category([1, 3], "cell")
    three.classes.add("part", parent="cell")
    three.classes.rename("cell", "nucleus")
    assert categories(three) == {1: "nucleus", 2: None, 3: "nucleus"}
    assert three.classes.hierarchy == {"nucleus": None, "part": "nucleus"}


def test_removing_a_class_moves_its_children_up(labels):
    for name, parent in (("a", None), ("b", "a"), ("c", "b")):
        labels.classes.add(name, parent=parent)
    labels.classes.remove("b")
    assert labels.classes.hierarchy == {"a": None, "c": "a"}


def test_a_key_belongs_to_one_class(labels):
    labels.classes.add("a", key=1)
    labels.classes.add("b", key=1)
    assert labels.classes.keys == {1: "b"}
    labels.classes.update("a", key=1)
    assert labels.classes.keys == {1: "a"}
    labels.classes.update("a", key=None)
    assert labels.classes.keys == {}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_with_odd_characters_are_kept(three, name):
    three.classes.add(name)
    three.set_category([1, 2], name)
    assert three.select(category=name) == [1, 2]
    with LabelStore.open(three.path, "r") as reader:
        assert reader.classes.names == [name]
    three.classes.rename(name, "plain")
    assert three.classes.counts() == {"plain": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "empty"),
        (("  ",), "empty"),
        ((5,), "no name"),
        (("a\nb",), "control characters"),
        (("\ud800",), "control characters"),
        (("x" * 501,), "501 characters"),
        (("known",), "already"),
        (("new", "red"), "colour 'red'"),
        (("new", (300, 0, 0)), "colour"),
        (("new", None, "missing"), "no class 'missing'"),
        (("new", None, "new"), "a kind of itself"),
        (("new", None, None, 0), "key 0"),
        (("new", None, None, 10), "key 10"),
        (("new", None, None, True), "key True"),
    ],
)
def test_invalid_classes_are_refused_and_nothing_changes(labels, arguments, message):
    labels.classes.add("known", key=1)
    before = classes_of(labels)
    with pytest.raises(LabelsError, match=message):
        labels.classes.add(*arguments)
    assert classes_of(labels) == before
    assert len(labels.history()) == 1


def test_circles_and_joins_with_nothing_are_refused(labels):
    labels.classes.add("a")
    labels.classes.add("b", parent="a")
    for refused in (
        lambda: labels.classes.update("a", parent="b"),
        lambda: labels.classes.rename("a", "b"),
        lambda: labels.classes.remove("a", into="a"),
        lambda: labels.classes.remove("a", into="c"),
        lambda: labels.classes.remove("c"),
        lambda: labels.classes["c"],
    ):
        with pytest.raises(LabelsError):
            refused()
    assert labels.classes.hierarchy == {"a": None, "b": "a"}


def test_ten_thousand_classes_are_one_step(labels):
    from napari_sam.io.labels.journal.class_rows import ObjectClass

    labels.classes.extend(ObjectClass(f"class {i}", 1) for i in range(10_000))
    assert len(labels.classes) == 10_000
    assert len(set(labels.classes.colours.values())) > 1000
    labels.undo()
    assert len(labels.classes) == 0


def test_a_class_that_later_objects_have_outlives_the_run_that_brought_it(three):
    run = three.run_writer("run")
    begin = run.begin({}, 1)
    run.write(np.full((3, 3), 4), (100, 100), tile="0", begin=begin, details={4: {"category": "cell"}})
    three.set_category(1, "cell")
    three.undo()
    three.redo()
    three.classes.update("cell", colour="#112233")
    three.delete([4])
    while three.undo():
        pass
    assert classes_of(three) == []
    while three.redo():
        pass
    assert classes_of(three) == [("cell", "#112233", None, None)]
    assert categories(three)[1] == "cell"


def test_undoing_a_run_alone_keeps_the_class_that_other_objects_have(three):
    run = three.run_writer("run")
    begin = run.begin({}, 1)
    run.write(np.full((3, 3), 4), (100, 100), tile="0", begin=begin, details={4: {"category": "cell"}})
    three.set_category(1, "cell")
    run.write(np.full((3, 3), 4), (200, 100), tile="1", begin=begin, details={})
    three.undo()  # the run, whose last tile is the last change
    assert categories(three) == {1: "cell", 2: None, 3: None}
    assert three.classes.names == ["cell"]
