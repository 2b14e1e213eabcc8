"""Prompts from every source: what they become, and what is said of those that mean nothing."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.prompts.label_prompts import object_boxes
from napari_sam.io.prompts.prompt_region import prompt_centres, prompts_within
from napari_sam.io.prompts.read_prompts import read_prompts

SHAPE = (100, 200)


@pytest.fixture
def image():
    return open_image(np.zeros(SHAPE, np.uint8))


@pytest.fixture
def on_map(image):
    image.crs, image.transform = "EPSG:4326", (0.5, 0.0, 10.0, 0.0, -0.5, 50.0)
    return image


def asks(table):
    return [
        {key: np.asarray(value).tolist() for key, value in table.keywords(i).items() if key != "mask"}
        for i in range(len(table))
    ]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# ---- tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_boxes_of_a_table_with_category_and_score(tmp_path, image, separator):
    lines = ["Y0,x0,y1,x1,category,score", "1,2,30,40,cell,0.9", "5.5,6,250,8,,"]
    table = read_prompts(written(tmp_path / "b.csv", "\n".join(lines).replace(",", separator)), image)
    assert asks(table) == [{"box": [1, 2, 30, 40]}, {"box": [5.5, 6, 100, 8]}]
    assert table.category == ["cell", None]
    np.testing.assert_array_equal(table.score, [0.9, np.nan])


def test_points_of_a_table_are_prompts_of_their_own(tmp_path, image):
    table = read_prompts(written(tmp_path / "p.csv", "y,x\n10,20\n99,199\n"), image)
    assert asks(table) == [
        {"points": [[10, 20]], "point_labels": [1]},
        {"points": [[99, 199]], "point_labels": [1]},
    ]


def test_points_of_one_object_belong_together(image):
    frame = pd.DataFrame({"y": [1, 50, 3], "x": [2, 60, 4], "label": [1, 1, 0], "object": ["a", "b", "a"]})
    assert asks(read_prompts(frame, image)) == [
        {"points": [[1, 2], [3, 4]], "point_labels": [1, 0]},
        {"points": [[50, 60]], "point_labels": [1]},
    ]


def test_a_box_and_points_of_one_object_are_one_prompt(image):
    nan = np.nan
    rows = [[1, 2, 30, 40, nan, nan, 7], [nan, nan, nan, nan, 9, 9, 7], [nan, nan, nan, nan, 60, 70, 8]]
    table = read_prompts(pd.DataFrame(rows, columns=["y0", "x0", "y1", "x1", "y", "x", "object"]), image)
    assert asks(table)[0] == {"points": [[9, 9]], "point_labels": [1], "box": [1, 2, 30, 40]}
    assert asks(table)[1] == {"points": [[60, 70]], "point_labels": [1]}


def test_tables_of_regionprops_and_of_ours_are_understood(image):
    boxes = pd.DataFrame({"label": [7], "bbox-0": [1], "bbox-1": [2], "bbox-2": [3], "bbox-3": [4], "centroid-0": [2]})
    assert asks(read_prompts(boxes, image)) == [{"box": [1, 2, 3, 4]}]
    centroids = pd.DataFrame({"label": [7], "centroid_y_px": [1.5], "centroid_x_px": [2.5]})
    assert asks(read_prompts(centroids, image)) == [{"points": [[1.5, 2.5]], "point_labels": [1]}]


@pytest.mark.parametrize(
    "columns",
    [
        {"x": 2, "y": 1, "w": 40, "h": 30},
        {"Height": 30, "Width": 40, "Y": 1, "X": 2},
        {"left": 2, "top": 1, "width": 40, "height": 30},
        {"xmin": 2, "ymin": 1, "xmax": 42, "ymax": 31},
        {"top": 1, "left": 2, "bottom": 31, "right": 42},
        {"left": 2, "top": 1, "right": 42, "bottom": 31},
        {"y0": 1, "x0": 2, "y1": 31, "x1": 42, "x": 2, "y": 1, "width": 40, "height": 30},
    ],
)
def test_boxes_of_other_programs_are_boxes_and_never_points(image, columns):
    assert asks(read_prompts(pd.DataFrame([columns]), image)) == [{"box": [1, 2, 31, 42]}]


def test_a_points_layer_of_napari_is_points_unless_it_is_of_a_stack_or_shapes(image):
    frame = pd.DataFrame({"index": [0], "axis-0": [5.0], "axis-1": [7.0]})
    assert asks(read_prompts(frame, image)) == [{"points": [[5, 7]], "point_labels": [1]}]
    for column in ("axis-2", "vertex-index"):
        with pytest.raises(PromptError, match="give y0, x0, y1, x1 or x, y, width, height"):
            read_prompts(frame.assign(**{column: 1}), image)


@pytest.mark.parametrize(("size", "missing"), [("w", "a height"), ("height", "a width")])
def test_a_corner_with_one_size_is_an_error(image, size, missing):
    with pytest.raises(PromptError, match=f"columns x, y and {size}, but not {missing}"):
        read_prompts(pd.DataFrame({"x": [1], "y": [2], size: [3]}), image)


def test_prompts_of_a_region_are_those_whose_middle_lies_in_it(image):
    nan = np.nan
    rows = [[1, 2, 31, 42, nan, nan, 0], [nan, nan, nan, nan, 9, 9, 1], [nan, nan, nan, nan, 60, 70, 2]]
    frame = pd.DataFrame([*rows, [*rows[1][:4], 11, 11, 1]], columns=["y0", "x0", "y1", "x1", "y", "x", "object"])
    table = read_prompts(frame.assign(category=list("abcb")), image)
    assert prompt_centres(table).tolist() == [[16, 22], [10, 10], [60, 70]]
    inside = prompts_within(table, (10, 10, 60, 70))
    assert asks(inside)[1] == {"points": [[9, 9], [11, 11]], "point_labels": [1, 1]}
    assert (len(inside), inside.category, inside.number.tolist()) == (2, ["a", "b"], [0, 1])
    assert asks(prompts_within(table, (60, 70, 61, 71))) == [{"points": [[60, 70]], "point_labels": [1]}]


def test_arrays_are_boxes_points_or_labels(image):
    assert asks(read_prompts([[1, 2, 3, 4]], image)) == [{"box": [1, 2, 3, 4]}]
    assert asks(read_prompts(np.array([[5.0, 6.0]]), image)) == [{"points": [[5, 6]], "point_labels": [1]}]


def test_parquet_without_pyarrow_names_the_remedy(tmp_path, image, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(PromptError, match="pip install pyarrow"):
        read_prompts(written(tmp_path / "p.parquet", ""), image)


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
    assert asks(table) == [{"box": [1, 2, 3, 4]}, {"box": [5, 6, 7, 8]}]
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
    assert asks(table) == [{"points": [[2, 4]], "point_labels": [1]}]
    assert table.skipped == skipped


def test_more_fields_than_columns_are_refused(tmp_path, image):
    with pytest.raises(PromptError, match="line 2: 3 fields, but the first line names 2 columns"):
        read_prompts(written(tmp_path / "a.csv", "y,x\n10,20,5\n30,40,5\n"), image)
    with pytest.raises(PromptError, match="2 fields in line 3, saw 3"):
        read_prompts(written(tmp_path / "b.csv", "y,x\n10,20\n30,40,5\n"), image)


def test_a_box_beyond_the_largest_mask_is_refused():
    from napari_sam.io.images.lazy_image import Image

    image = Image([np.broadcast_to(np.uint8(0), (40_000, 40_000))], "yx", "large", (0,))
    with pytest.raises(PromptError, match="spans more than"):
        read_prompts([[0, 0, 30_000, 30_000]], image)


def test_an_empty_table_is_an_error_and_an_empty_array_is_not(tmp_path, image):
    path = written(tmp_path / "p.csv", "y0,x0,y1,x1\n")
    with pytest.raises(PromptError, match=r"p\.csv: the table is empty; give at least one"):
        read_prompts(path, image)
    assert len(read_prompts(np.zeros((0, 4)), image)) == 0


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "", "cannot be read"),
        ("p.json", "{", "cannot be read"),
        ("p.json", '{"a": 1}', "neither COCO"),
        ("p.geojson", '{"type": "FeatureCollection", "features": 3}', "not a list"),
    ],
)
def test_files_that_hold_nothing_are_named(tmp_path, image, name, text, words):
    with pytest.raises(PromptError, match=words):
        read_prompts(written(tmp_path / name, text), image)
    with pytest.raises(PromptError, match="no such file"):
        read_prompts(tmp_path / "missing.csv", image)


# ---- COCO ------------------------------------------------------------------------------------------------------


def test_coco_annotations_are_boxes_with_categories(tmp_path, image):
    content = {
        "images": [{"id": 1, "file_name": "a.tif"}],
        "categories": [{"id": 3, "name": "nucleus"}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": [20, 10, 5, 8], "category_id": 3, "score": 0.25}],
    }
    table = read_prompts(written(tmp_path / "c.json", json.dumps(content)), image)
    assert asks(table) == [{"box": [10, 20, 18, 25]}]
    assert (table.category, table.score.tolist(), table.word) == (["nucleus"], [0.25], "annotation")


def test_coco_detections_of_several_images_ask_which(tmp_path, image):
    path = written(
        tmp_path / "d.json", json.dumps([{"image_id": i, "bbox": [i, 1, 2, 2], "category_id": 1} for i in (4, 5)])
    )
    with pytest.raises(PromptError, match="holds 2 images; choose one with image_id"):
        read_prompts(path, image)
    assert asks(read_prompts(path, image, image_id=5)) == [{"box": [1, 5, 3, 7]}]
    with pytest.raises(PromptError, match="has images 4, 5"):
        read_prompts(path, image, image_id=6)


def test_a_coco_box_that_is_none_is_named(tmp_path, image):
    path = written(tmp_path / "d.json", json.dumps([{"bbox": [1, 1, 2, 2]}, {"bbox": [1]}]))
    with pytest.raises(PromptError, match=r"annotation 1: bbox \[1\] is not four numbers"):
        read_prompts(path, image)
    assert read_prompts(path, image, errors="skip").skipped == {"unreadable": 1}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bbox": "1234"}, 'bbox "1234" is not four numbers'),
        ({"bbox": [10**400, 1, 2, 2]}, "bbox .* is not four numbers"),
        ({"bbox": [1, 1, 2, 2], "category_id": [1]}, r"category_id \[1\] is not a number or a word"),
        ({"bbox": [1, 1, 2, 2], "image_id": [1]}, r"image_id \[1\] is not a number or a word"),
    ],
)
def test_a_hostile_coco_annotation_is_named_or_skipped(tmp_path, image, wrong, words):
    path = written(tmp_path / "d.json", json.dumps([{"bbox": [1, 1, 2, 2]}, wrong]))
    with pytest.raises(PromptError, match=f"annotation 1: {words}"):
        read_prompts(path, image)
    table = read_prompts(path, image, errors="skip")
    assert (asks(table), table.skipped) == ([{"box": [1, 1, 3, 3]}], {"unreadable": 1})


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"categories": None}, "'categories' is null; make it a list"),
        ({"images": None}, "'images' is null; make it a list"),
        ({"categories": [{"id": {}}]}, r"categories\[0\] is .*give it an id"),
        ({"images": [{"id": [1]}]}, r"images\[0\] is .*give it an id"),
    ],
)
def test_a_hostile_coco_head_is_named(tmp_path, image, head, words):
    path = written(tmp_path / "c.json", json.dumps({"annotations": [{"bbox": [1, 1, 2, 2]}], **head}))
    with pytest.raises(PromptError, match=words):
        read_prompts(path, image)


# ---- GeoJSON ---------------------------------------------------------------------------------------------------


def feature(kind, coordinates, **properties):
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }


def collection(*features, **head):
    return json.dumps({"type": "FeatureCollection", "features": list(features), **head})


SQUARE = [[20, 10], [40, 10], [40, 30], [20, 30], [20, 10]]


def test_geojson_in_pixels_counts_from_the_outer_corner(tmp_path, image):
    text = collection(
        feature("Point", [20.5, 10.5], category="a"),
        feature("Polygon", [SQUARE], classification={"name": "b"}),
        feature("MultiPoint", [[1, 1], [3, 3]]),
    )
    table = read_prompts(written(tmp_path / "g.geojson", text), image)
    assert asks(table) == [
        {"points": [[10, 20]], "point_labels": [1]},
        {"box": [10, 20, 30, 40]},
        {"points": [[0.5, 0.5], [2.5, 2.5]], "point_labels": [1, 1]},
    ]
    assert table.category == ["a", "b", None]


def test_geojson_polygons_are_masks_without_their_holes(tmp_path, image):
    hole = [[25, 15], [30, 15], [30, 20], [25, 20], [25, 15]]
    path = written(tmp_path / "g.geojson", collection(feature("Polygon", [SQUARE, hole])))
    mask = read_prompts(path, image, masks=True).keywords(0)["mask"]
    assert mask.bbox == (10, 20, 30, 40)
    assert mask.mask.sum() == 400 - 25
    assert not mask.mask[5:10, 5:10].any()


def test_longitude_and_latitude_go_through_the_transform(tmp_path, on_map):
    text = collection(feature("Polygon", [[[10, 50], [20, 50], [20, 40], [10, 40], [10, 50]]]))
    path = written(tmp_path / "g.geojson", text)
    assert asks(read_prompts(path, on_map)) == [{"box": [0, 0, 20, 20]}]
    assert asks(read_prompts(path, on_map, coordinates="map")) == [{"box": [0, 0, 20, 20]}]
    assert asks(read_prompts(path, on_map, coordinates="pixels")) == [{"box": [40, 10, 50, 20]}]


def test_geojson_in_another_crs_or_without_a_place_is_refused(tmp_path, on_map, image):
    on_map.crs = "EPSG:32632"
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}
    path = written(tmp_path / "g.geojson", collection(feature("Point", [1, 1]), crs=crs))
    with pytest.raises(PromptError, match=r"EPSG::3035, but the image lies in EPSG:32632"):
        read_prompts(path, on_map)
    plain = open_image(np.zeros(SHAPE, np.uint8))
    with pytest.raises(PromptError, match="has no map position"):
        read_prompts(path, plain, coordinates="map")


def test_a_feature_that_cannot_be_used_is_named(tmp_path, image):
    text = collection(feature("Point", [1, 1]), feature("LineString", [[1, 1], [2, 2]]), {"type": "Feature"})
    path = written(tmp_path / "g.geojson", text)
    with pytest.raises(PromptError, match=r"feature 1: .*LineString: give points or polygons"):
        read_prompts(path, image)
    assert read_prompts(path, image, errors="skip").skipped == {"unreadable": 2}


def test_a_coordinate_beyond_all_numbers_is_named_or_skipped(tmp_path, image):
    path = written(tmp_path / "g.geojson", collection(feature("Point", [2, 3]), feature("Point", [10**400, 1])))
    with pytest.raises(PromptError, match="feature 1: its geometry cannot be used"):
        read_prompts(path, image)
    assert asks(read_prompts(path, image, errors="skip")) == [{"points": [[2.5, 1.5]], "point_labels": [1]}]


def test_a_crs_that_says_nothing_is_longitude_and_latitude(tmp_path, on_map):
    path = written(tmp_path / "g.geojson", collection(feature("Point", [20, 45]), crs={"properties": None}))
    assert asks(read_prompts(path, on_map)) == [{"points": [[9.5, 19.5]], "point_labels": [1]}]


def test_our_own_export_comes_back(tmp_path, image):
    with LabelStore.create(tmp_path / "l", shape=SHAPE) as store:
        store.paint(np.ones((20, 30), int), (10, 40))
        store.export(tmp_path / "l.geojson")
        store.export(tmp_path / "l.json")
        store.export(tmp_path / "l.csv")
    for name in ("l.geojson", "l.json", "l.csv"):
        assert asks(read_prompts(tmp_path / name, image)) == [{"box": [10, 40, 30, 70]}]


# ---- labels ----------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn():
    labels = np.zeros(SHAPE, np.uint16)
    labels[10:20, 30:50] = 9
    labels[50:60, 30:50] = 4
    labels[55, 60] = 4
    return labels


def test_a_label_image_gives_boxes_and_masks(drawn, image):
    table = read_prompts(drawn, image, masks=True)
    assert asks(table) == [{"box": [50, 30, 60, 61]}, {"box": [10, 30, 20, 50]}]
    assert table.number.tolist() == [4, 9]
    assert table.keywords(0)["mask"].mask.sum() == 201


@pytest.mark.parametrize("block_px", [7, 55, 2048])
def test_boxes_of_objects_do_not_depend_on_the_blocks(drawn, block_px):
    assert object_boxes(open_image(drawn), block_px) == {4: (50, 30, 60, 61), 9: (10, 30, 20, 50)}


def test_a_label_store_gives_boxes_and_categories(drawn, image, tmp_path):
    with LabelStore.create(tmp_path / "l.ome.zarr", shape=SHAPE) as store:
        store.paint(drawn, (0, 0))
        store.set_category(9, "cell")
        assert len(read_prompts(store, image)) == 2
    table = read_prompts(str(tmp_path / "l.ome.zarr"), image, masks=True)
    assert table.category == [None, "cell"]
    assert table.keywords(1)["mask"].mask.all()


def test_what_is_no_label_image_is_refused(image, tmp_path):
    with pytest.raises(PromptError, match=r"do not match the image of shape \(100, 200\)"):
        with LabelStore.create(tmp_path / "l", shape=(9, 9)) as store:
            read_prompts(store, image)
    with pytest.raises(PromptError, match=r"prompts of shape \(5, 3\)"):
        read_prompts(np.zeros((5, 3)), image)
    with pytest.raises(PromptError, match="cannot read prompts from int"):
        read_prompts(3, image)
    with pytest.raises(PromptError, match="has no masks"):
        read_prompts([[1, 2, 3, 4]], image, masks=True)
