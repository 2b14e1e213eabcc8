"""Changes of classes and of many objects as lines of a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.reading.script_values import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.io.labels.journal.class_rows import ObjectClass
    from napari_sam.io.labels.journal.rows import Record

_CLASS_CALLS = {
    "update": (("name",), ("colour", "parent", "key")),
    "rename": (("old", "new"), ()),
    "remove": (("name",), ("into",)),
}
"""Positional and named arguments of the methods of `ClassTable`."""


def class_lines(record: Record) -> list[str]:
    """Return the lines that repeat a change of the classes.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the record does not describe one.
    """
    call = record["call"]
    if call == "extend":
        lines = [
            f"labels.classes.add({literal(item['name'])}, {literal(item['colour'])}, key={literal(item['key'])})\n"
            for item in record["classes"]
        ]
        return lines + [
            f"labels.classes.update({literal(item['name'])}, parent={literal(item['parent'])})\n"
            for item in record["classes"]
            if item["parent"] is not None
        ]
    positional, named = _CLASS_CALLS[call]
    arguments = [literal(record[name]) for name in positional]
    arguments += [f"{name}={literal(record[name])}" for name in named if name in record]
    return [f"labels.classes.{call}({', '.join(arguments)})\n"]


def added_class_lines(classes: Sequence[ObjectClass]) -> list[str]:
    """Return the lines that add classes which came with objects, such as of a file; those without values need none."""
    if all(item.own_colour is None and item.parent is None and item.key is None for item in classes):
        return []
    listed = [
        {"name": item.name, "colour": item.own_colour, "parent": item.parent, "key": item.key} for item in classes
    ]
    return class_lines({"call": "extend", "classes": listed})


def many_lines(kind: str, record: Record) -> list[str]:
    """Return the lines that repeat a change of many objects; empty if the change is of another kind.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the record does not describe one.
    """
    if kind == "category" and "groups" in record:
        categories = {label: group["category"] for group in record["groups"] for label in group["labels"]}
        pairs = ", ".join(f"{literal(label)}: {literal(name)}" for label, name in categories.items())
        return [f"labels.set_category({{{pairs}}})\n"]
    if "labels" not in record:
        return []
    if kind == "category":
        return [f"labels.set_category({literal(record['labels'])}, {literal(record['category'])})\n"]
    if kind == "erase":
        return [f"labels.delete({literal(record['labels'])})\n"]
    if kind == "relabel":
        pairs = ", ".join(f"{literal(int(old))}: {literal(new)}" for old, new in record["labels"].items())
        return [f"labels.relabel({{{pairs}}})\n"]
    return []
