"""Changes of classes and of many objects in the script of a store's history."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import tifffile

from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.replay_classes import class_lines, many_lines


def state(store):
    rows = [(row.label, row.area_px, row.category) for row in store.journal.objects.table()]
    return rows, [(item.name, item.colour, item.parent, item.key) for item in store.classes]


def test_the_script_makes_the_same_objects_and_classes(tmp_path):
    tifffile.imwrite(tmp_path / "i.tif", np.zeros((100, 100), np.uint8))
    ring = [[1, 80], [9, 80], [9, 90], [1, 90], [1, 80]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    feature["properties"] = {"classification": {"name": "Tumour: Positive", "color": [1, 2, 3]}}
    (tmp_path / "q.geojson").write_text(json.dumps(feature))
    with LabelStore.create(tmp_path / "a.ome.zarr", like=tmp_path / "i.tif") as labels:
        labels.classes.add('it\'s "odd" \U0001f52c\\', "#102030", key=3)
        labels.classes.add("part", parent='it\'s "odd" \U0001f52c\\')
        labels.paint(np.kron(np.arange(1, 26).reshape(5, 5), np.ones((10, 10), int)), (0, 0))
        labels.set_category([1, 2, 3], "part")
        labels.set_category({4: "debris", 5: None, 6: "part"})
        labels.classes.rename("debris", "dirt")
        labels.classes.update("dirt", colour=(9, 8, 7), key=3)
        labels.delete([7, 8, 9])
        labels.relabel({10: 110, 11: 111})
        labels.merge([1, 2, 6])
        labels.classes.add("gone")
        labels.set_category([12, 13], "gone")
        labels.classes.remove("gone", into="part")
        labels.import_(tmp_path / "q.geojson")
        labels.delete([20])
        labels.undo()
        expected, pixels = state(labels), labels.array[...]
        labels.export(tmp_path / "again.py")
    out = tmp_path / "b.ome.zarr"
    command = [sys.executable, str(tmp_path / "again.py"), str(tmp_path / "i.tif"), str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with LabelStore.open(out, "r") as replayed:
        assert state(replayed) == expected
        np.testing.assert_array_equal(replayed.array[...], pixels)


def test_names_in_a_record_never_become_code():
    name = "'); import os; os.abort(); ('"
    lines = class_lines({"call": "rename", "old": name, "new": name})
    lines += class_lines({"call": "extend", "classes": [{"name": name, "colour": name, "parent": name, "key": None}]})
    lines += many_lines("category", {"labels": [1], "category": name})
    lines += many_lines("category", {"groups": [{"labels": [1], "category": name}]})
    called = []

    class Recorder:
        def __getattr__(self, _):
            return self

        def __call__(self, *arguments, **keywords):
            called.append(arguments)

    for line in lines:
        exec(line, {"labels": Recorder(), "__builtins__": {}})
    assert len(called) == len(lines) == 5
