"""Classes in every export, read by other libraries and read back."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

from napari_sam.io.labels.label_store import LabelStore

CLASSES = [
    ("cell", "#102030", None, 1),
    ('it\'s a/"b" \U0001f52c', "#ff0000", "cell", None),
    ("debris", "#808080", None, None),
]
TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_600_000.0)


def fill(labels, planes=((),)):
    for name, colour, parent, key in CLASSES:
        labels.classes.add(name, colour, parent, key)
    pixels = np.zeros((40, 40), np.uint32)
    for label in range(1, 5):
        pixels[10 * label - 9 : 10 * label - 4, 3:9] = label
    for plane in planes:
        labels.paint(pixels, (0, 0), plane=plane)
    labels.set_category({1: "cell", 2: CLASSES[1][0], 3: CLASSES[1][0]})


@pytest.fixture
def labels(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(40, 40)) as store:
        fill(store)
        yield store


def state(store):
    """Class of each object by position, and the classes."""
    rows = {row[3:5]: row.category for row in store.journal.objects.table()}
    return rows, [(item.name, item.colour, item.parent, item.key) for item in store.classes]


def imported(path, folder, shape=(40, 40), **made):
    with LabelStore.create(folder / "back", shape=shape, **made) as store:
        store.import_(path)
        return state(store)


@pytest.mark.parametrize("name", ["a.geojson", "a.json", "a.zarr"])
def test_classes_come_back_with_objects(labels, tmp_path, name):
    objects, classes = state(labels)
    back_objects, back_classes = imported(labels.export(tmp_path / name), tmp_path)
    assert back_objects == objects
    if name == "a.json":  # COCO has no keys
        classes = [(*item[:3], None) for item in classes]
    assert sorted(back_classes, key=str) == sorted(classes, key=str)


def test_a_geopackage_keeps_the_classes_beside_its_layer(tmp_path, labels):
    labels.journal._database.connection.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)",
        [("crs", '"EPSG:32632"'), ("transform", json.dumps(TRANSFORM))],
    )
    path = labels.export(tmp_path / "a.gpkg")
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT label, category, category_parent, category_colour FROM objects ORDER BY label")
        assert rows.fetchall()[1] == (2, CLASSES[1][0], "cell", "#ff0000")
        assert db.execute("SELECT table_name FROM gpkg_contents").fetchall() == [("objects",)]
        (metadata,) = db.execute("SELECT metadata FROM gpkg_metadata").fetchone()
    db.close()
    assert [item["name"] for item in json.loads(metadata)] == [name for name, *_ in CLASSES]
    with LabelStore.create(tmp_path / "back", shape=(40, 40)) as store:
        store.journal._database.connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            [("crs", '"EPSG:32632"'), ("transform", json.dumps(TRANSFORM))],
        )
        store.import_(path)
        assert state(store) == state(labels)


def test_qupath_gets_qualified_names_and_colours(labels, tmp_path):
    content = json.loads(labels.export(tmp_path / "a.geojson").read_text())
    classifications = [f["properties"].get("classification") for f in content["features"]]
    assert classifications[0] == {"name": "cell", "color": [16, 32, 48]}
    assert classifications[1] == {"name": f"cell: {CLASSES[1][0]}", "color": [255, 0, 0]}
    assert classifications[3] is None


def test_coco_has_supercategories(labels, tmp_path):
    content = json.loads(labels.export(tmp_path / "a.json").read_text())
    by_name = {item["name"]: item for item in content["categories"]}
    assert by_name[CLASSES[1][0]]["supercategory"] == "cell"
    assert by_name[CLASSES[1][0]]["color"] == [255, 0, 0]
    assert by_name["cell"]["supercategory"] == ""
    assert by_name["object"] == {"id": 1, "name": "object"}
    assert "debris" in by_name


def test_ome_zarr_has_colours_and_properties_of_labels(labels, tmp_path):
    path = labels.export(tmp_path / "a.zarr", labels=[2, 4])
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["image-label"]["colors"] == [{"label-value": 2, "rgba": [255, 0, 0, 255]}]
    assert ome["image-label"]["properties"] == [{"label-value": 2, "category": CLASSES[1][0]}]


def test_tables_name_parent_and_colour(labels, tmp_path):
    table = pd.read_csv(labels.export(tmp_path / "a.csv"))
    assert table["category_parent"].tolist()[1:3] == ["cell", "cell"]
    assert table["category_colour"].tolist()[0] == "#102030"
    labels.export(tmp_path / "a.parquet")
    assert pd.read_parquet(tmp_path / "a.parquet")["category_colour"].isna().tolist() == [False, False, False, True]


def test_a_table_gives_its_classes_to_prompts(labels, tmp_path):
    import tifffile

    from napari_sam.io.images.open_image import open_image
    from napari_sam.io.read_prompts import read_prompts

    tifffile.imwrite(tmp_path / "i.tif", np.zeros((40, 40), np.uint8))
    table = read_prompts(labels.export(tmp_path / "a.csv"), open_image(tmp_path / "i.tif"))
    assert {style.name: (style.colour, style.parent) for style in table.classes} == {
        "cell": ("#102030", None),
        CLASSES[1][0]: ("#ff0000", "cell"),
    }


def test_a_store_without_classes_exports_as_before(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(40, 40)) as store:
        store.paint(np.ones((3, 3), int), (0, 0))
        assert "category_colour" not in pd.read_csv(store.export(tmp_path / "a.csv"))
        assert "classes" not in json.loads(store.export(tmp_path / "a.geojson").read_text())["napari_sam"]
        path = store.export(tmp_path / "a.zarr")
        assert not json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["image-label"].get("colors")


@pytest.mark.parametrize(
    "classification",
    [
        {"name": "Tumour: Positive", "color": [200, 0, 0]},
        {"names": ["Tumour", "Positive"], "color": [200, 0, 0]},
        {"name": "Tumour: Positive", "colorRGB": -3_670_016},
    ],
)
def test_objects_of_qupath_bring_their_classes(tmp_path, classification):
    ring = [[2, 2], [8, 2], [8, 8], [2, 8], [2, 2]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": classification},
    }
    (tmp_path / "q.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    objects, classes = imported(tmp_path / "q.geojson", tmp_path)
    assert list(objects.values()) == ["Tumour: Positive"]
    assert [(name, parent) for name, _, parent, _ in classes] == [("Tumour", None), ("Tumour: Positive", "Tumour")]
    assert classes[1][1] == "#c80000"


def test_an_import_with_classes_is_one_step_and_leaves_known_classes_alone(labels, tmp_path):
    path = labels.export(tmp_path / "a.geojson")
    with LabelStore.create(tmp_path / "back", shape=(40, 40)) as store:
        store.classes.add("cell", "#00ff00", key=1)
        before = state(store)
        store.import_(path)
        assert store.classes["cell"].colour == "#00ff00"
        assert store.classes[CLASSES[1][0]].parent == "cell"
        store.undo()
        assert state(store) == before


def test_invalid_classes_of_a_file_do_not_prevent_its_import(tmp_path):
    categories = [
        {"id": 1, "name": "a", "supercategory": "b", "color": "green"},
        {"id": 2, "name": "b", "supercategory": "a"},
        {"id": 3, "name": "line\nbreak", "supercategory": 5},
        {"id": 4, "name": None},
    ]
    annotations = [
        {"id": i, "image_id": 1, "category_id": i, "bbox": [9 * i - 8, 1, 4, 4],
         "segmentation": [[9 * i - 8, 1, 9 * i - 4, 1, 9 * i - 4, 5, 9 * i - 8, 5]]}
        for i in range(1, 5)
    ]  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps({"categories": categories, "annotations": annotations, "images": []}))
    objects, classes = imported(tmp_path / "c.json", tmp_path)
    assert sorted(map(str, objects.values())) == ["None", "a", "b", "line break"]
    assert {name for name, *_ in classes} >= {"a", "b", "line break"}
    parents = {name: parent for name, _, parent, _ in classes}
    assert (parents["a"], parents["b"]) in ((None, "a"), ("b", None))


def test_classes_of_a_stack_come_back(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3, 40, 40)) as store:
        fill(store, planes=((0,), (2,)))
        expected = state(store)
        path = store.export(tmp_path / "a.zarr")
    with LabelStore.create(tmp_path / "back", shape=(3, 40, 40)) as store:
        store.import_(path)
        assert state(store) == expected
        store.undo()
        assert state(store) == ({}, [])


def test_imagej_rois_have_their_class_as_property_and_outline(labels, tmp_path):
    from roifile import roiread

    path = labels.export(tmp_path / "a.zip")
    rois = {roi.name: roi for roi in roiread(path)}
    assert rois["0000002"].props.strip() == f"category: {CLASSES[1][0]}"
    assert rois["0000002"].stroke_color == bytes([255, 255, 0, 0])
    objects, classes = imported(path, tmp_path)
    assert objects == state(labels)[0]
    assert [(name, colour) for name, colour, *_ in classes] == [(name, colour) for name, colour, *_ in CLASSES[:2]]


def test_a_class_that_cannot_be_named_is_refused_by_commit(labels):
    from napari_sam.errors import LabelsError
    from tests.io.labels.label_stubs import predicted, square

    for name in ("", "\ud800", 5):
        with pytest.raises(LabelsError, match="class"):
            labels.commit(predicted(square(3), (20, 30)), category=name)
        with pytest.raises(LabelsError, match="class"):
            labels.commit_planes({(): (square(3), (20, 30, 23, 33))}, category=name)
    assert len(labels) == 4


def test_a_reader_cannot_change_classes(labels):
    from napari_sam.errors import StoreError

    with LabelStore.open(labels.path, "r") as reader:
        changes = (lambda: reader.classes.add("x"), lambda: reader.set_category([1], None), lambda: reader.delete([1]))
        for change in changes:
            with pytest.raises(StoreError):
                change()
        assert state(reader) == state(labels)
