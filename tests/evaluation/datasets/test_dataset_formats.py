"""Every data format, on small files made here."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from napari_sam.errors import EvaluationError, NapariSamError
from napari_sam.evaluation.datasets.dataset_formats import FORMATS, find_samples
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.group_columns import add_groups
from napari_sam.evaluation.datasets.labelled_samples import Sample, select_objects, select_samples

LABELS = np.zeros((20, 30), np.uint16)
LABELS[2:8, 3:9], LABELS[10:18, 12:28] = 4, 9
RGB = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)


def boxes(sample):
    return [one.box for one in sample.truth().objects]


BOXES = [(2, 3, 8, 9), (10, 12, 18, 28)]


def save_rgb(path, rgb=RGB):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path)


@pytest.fixture
def collection(tmp_path):
    for dataset in ("cells", "fields"):
        folder = tmp_path / dataset / "dev"
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            tifffile.imwrite(folder / f"{name}.image.tif", RGB)
            tifffile.imwrite(folder / f"{name}.labels.tif", LABELS)
    (tmp_path / "INDEX.csv").write_text("dataset,sample,modality\ncells,a,EM\ncells,b,phase\nfields,a,aerial\n")
    return tmp_path


def coco(shape=(20, 30), **image):
    return {
        "images": [{"id": 7, "file_name": "a.png", "height": shape[0], "width": shape[1], **image}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[3, 2, 9, 2, 9, 8, 3, 8]], "iscrowd": 0},
            {
                "id": 2,
                "image_id": 7,
                "category_id": 5,
                "segmentation": [[12, 10, 28, 10, 28, 18, 12, 18]],
                "iscrowd": 0,
            },
        ],
        "categories": [{"id": 3, "name": "cell", "frequency": "f"}, {"id": 5, "name": "field", "frequency": "r"}],
    }


def test_a_collection_has_data_sets_splits_and_groups(collection):
    found = find_samples(collection)
    assert [(s.dataset, s.name) for s in found] == [("cells", "a"), ("cells", "b"), ("fields", "a"), ("fields", "b")]
    assert found[1].groups == {"dataset": "cells", "modality": "phase"}
    assert boxes(found[0]) == BOXES
    assert [s.name for s in find_samples(collection, only=["fields"])] == ["a", "b"]
    assert find_samples(collection / "cells" / "dev")[0].groups["modality"] == "EM"


def test_cellpose_folders(tmp_path):
    save_rgb(tmp_path / "000_img.png")
    Image.fromarray(LABELS).save(tmp_path / "000_masks.png")
    (sample,) = find_samples(tmp_path)
    assert (sample.name, boxes(sample)) == ("000", BOXES)
    assert find_samples(tmp_path, "cellpose")[0].identity == sample.identity


def test_stardist_folders(tmp_path):
    save_rgb(tmp_path / "images" / "x.png")
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "x.tif", LABELS)
    (sample,) = find_samples(tmp_path)
    assert boxes(sample) == BOXES


def test_coco_objects_may_overlap_and_crowds_do_not_count(tmp_path):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    runs = {"size": [20, 30], "counts": [0, 600]}
    raw["annotations"].append({"id": 3, "image_id": 7, "category_id": 3, "segmentation": runs, "iscrowd": 1})
    (tmp_path / "val.json").write_text(json.dumps(raw))
    (sample,) = find_samples(tmp_path / "val.json")
    truth = sample.truth()
    assert [o.category for o in truth.objects] == ["cell", "field", "cell"]
    assert [o.crowd for o in truth.objects] == [False, False, True]
    assert [o.box for o in truth.scored_objects] == BOXES
    assert sample.number == 7


def test_lvis_has_frequencies_and_names_images_by_their_address(tmp_path):
    save_rgb(tmp_path / "val2017" / "000000000007.png")
    raw = coco(
        coco_url="http://images.example/val2017/000000000007.png", neg_category_ids=[5], not_exhaustive_category_ids=[3]
    )
    del raw["images"][0]["file_name"]
    (tmp_path / "lvis_v1_val.json").write_text(json.dumps(raw))
    (sample,) = find_samples(tmp_path / "lvis_v1_val.json", "lvis")
    truth = sample.truth()
    assert [o.frequency for o in truth.objects] == ["f", "r"]
    assert truth.absent == {"field"}
    assert truth.incomplete == {"cell"}


def test_livecell_has_annotations_by_id_and_images_in_folders(tmp_path):
    save_rgb(tmp_path / "images" / "livecell_train_val_images" / "A172" / "a.png")
    raw = coco()
    raw["annotations"] = {str(row["id"]): row for row in raw["annotations"]}
    (tmp_path / "livecell_coco_val.json").write_text(json.dumps(raw))
    (sample,) = find_samples(tmp_path / "livecell_coco_val.json", "livecell")
    assert boxes(sample) == BOXES


def test_dsb2018_has_one_mask_for_each_object(tmp_path):
    save_rgb(tmp_path / "id1" / "images" / "id1.png")
    for label in (4, 9):
        save_rgb(tmp_path / "id1" / "masks" / f"m{label}.png", (LABELS == label).astype(np.uint8) * 255)
    (sample,) = find_samples(tmp_path)
    assert (sample.name, boxes(sample)) == ("id1", BOXES)
    save_rgb(tmp_path / "id1" / "masks" / "z.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(EvaluationError, match=r"\(5, 5\) beside others of \(20, 30\)"):
        find_samples(tmp_path)[0].truth()


def test_tissuenet_gives_cells_and_nuclei_and_its_tissues(tmp_path):
    images = np.random.default_rng(0).random((2, 20, 30, 2)).astype(np.float32)
    labels = np.stack([LABELS, LABELS > 0], -1)[None].repeat(2, 0).astype(np.int32)
    path = tmp_path / "test.npz"
    np.savez(path, X=images, y=labels, tissue_list=np.array(["skin", "gut"]))
    found = find_samples(path)
    assert [s.dataset for s in found] == ["test cells"] * 2 + ["test nuclei"] * 2
    assert boxes(found[0]) == BOXES
    assert len(found[2].truth().objects) == 1
    assert [s.groups["tissue"] for s in found[:2]] == ["skin", "gut"]
    assert found[0].source().shape == (20, 30, 3)


def test_pickled_columns_of_tissuenet_are_left_alone(tmp_path):
    path = tmp_path / "test.npz"
    meta = np.array([{"a": 1}, None], dtype=object)
    np.savez(path, X=np.zeros((1, 4, 4, 2)), y=np.zeros((1, 4, 4, 2), int), tissue_list=meta)
    assert "tissue" not in find_samples(path)[0].groups


def test_bsds_as_berkeley_gives_it(tmp_path):
    base = tmp_path / "BSR" / "BSDS500" / "data"
    save_rgb(base / "images" / "val" / "3096.jpg")
    (base / "groundTruth" / "val").mkdir(parents=True)
    drawn = np.zeros((2, 20, 30), np.uint8)
    drawn[0, 5], drawn[1, 6] = 1, 1
    cells = np.empty((1, 2), object)
    for i in range(2):
        cells[0, i] = {"Boundaries": drawn[i], "Segmentation": np.ones((20, 30), np.uint16)}
    savemat(base / "groundTruth" / "val" / "3096.mat", {"groundTruth": cells})
    (sample,) = find_samples(tmp_path)  # its dev split is val
    assert (sample.kind, sample.name) == ("boundaries", "3096")
    np.testing.assert_array_equal(sample.truth().boundaries, drawn.astype(bool))
    with pytest.raises(EvaluationError, match="split=val"):
        find_samples(tmp_path, split="test")


def test_a_label_store_is_data_too(tmp_path):
    from napari_sam import LabelStore

    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(20, 30)) as store:
        store.paint(LABELS, (0, 0))
    (sample,) = find_samples(tmp_path / "cells.ome.zarr")
    assert boxes(sample) == BOXES
    with pytest.raises(EvaluationError, match="no image"):
        sample.source()


def identity_of(path):
    return find_samples(path)[0].identity


def test_a_stores_changes_change_its_identity_though_its_file_waits(tmp_path):
    from napari_sam import LabelStore

    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(20, 30)) as store:
        store.paint(LABELS, (0, 0))
        before = identity_of(tmp_path / "cells.ome.zarr")
        store.erase(9)
        assert identity_of(tmp_path / "cells.ome.zarr") != before
        store.undo()
        assert identity_of(tmp_path / "cells.ome.zarr") != before


def test_a_redrawn_mask_of_dsb2018_changes_the_identity(tmp_path):
    import os

    save_rgb(tmp_path / "id1" / "images" / "id1.png")
    mask = tmp_path / "id1" / "masks" / "m.png"
    save_rgb(mask, (LABELS == 4).astype(np.uint8) * 255)
    before = identity_of(tmp_path)
    known = mask.stat()
    os.utime(mask, ns=(known.st_atime_ns, known.st_mtime_ns + 1))
    assert identity_of(tmp_path) != before


def test_masks_with_an_alpha_channel(tmp_path):
    save_rgb(tmp_path / "id1" / "images" / "id1.png")
    grey = (LABELS == 4).astype(np.uint8) * 255
    save_rgb(tmp_path / "id1" / "masks" / "m.png", np.dstack([grey, np.full_like(grey, 255)]))
    assert boxes(find_samples(tmp_path)[0]) == BOXES[:1]


def test_coco_images_are_taken_by_their_path_not_by_a_name_that_others_have(tmp_path):
    for folder in ("A", "B"):
        save_rgb(tmp_path / "pictures" / folder / "a.png")
    for name, there in (("B/a.png", True), ("C/a.png", False), ("a.png", False)):
        (tmp_path / "val.json").write_text(
            json.dumps(coco() | {"images": [{**coco()["images"][0], "file_name": name}]})
        )
        if there:
            assert find_samples(tmp_path / "val.json")[0].image == tmp_path / "pictures" / "B" / "a.png"
        else:
            with pytest.raises(EvaluationError, match="none of its 1 images"):
                find_samples(tmp_path / "val.json")


def test_what_is_left_out_is_noted(tmp_path, collection):
    notes = []
    pairs, masks = tmp_path / "pairs", tmp_path / "dsb"
    save_rgb(pairs / "a_img.png")
    save_rgb(pairs / "b_img.png")
    Image.fromarray(LABELS).save(pairs / "a_masks.png")
    Image.fromarray(LABELS).save(pairs / "c_masks.png")
    find_samples(pairs, notes=notes)
    assert [n.rpartition("/")[2] for n in notes] == [
        "b_img.png: an image without labels",
        "c_masks.png: labels without an image",
    ]
    (collection / "cells" / "dev" / "a.image.tif").unlink()
    find_samples(collection, notes=notes)
    assert notes[-1].endswith("a.labels.tif: labels without an image")
    save_rgb(masks / "id1" / "images" / "id1.png")
    save_rgb(masks / "id1" / "masks" / "m.png", (LABELS == 4).astype(np.uint8) * 255)
    save_rgb(masks / "id2" / "images" / "id2.png")
    find_samples(masks, notes=notes)
    assert notes[-1].endswith("id2.png: an image without masks")
    raw = coco()
    raw["images"].append({**raw["images"][0], "id": 8, "file_name": "missing.png"})
    save_rgb(tmp_path / "coco" / "a.png")
    (tmp_path / "coco" / "val.json").write_text(json.dumps(raw))
    find_samples(tmp_path / "coco" / "val.json", notes=notes)
    assert "1 of its 2 images do not exist" in notes[-1]


def test_names_with_brackets_are_names(tmp_path):
    tifffile.imwrite(tmp_path / "cell[1].image.tif", RGB)
    tifffile.imwrite(tmp_path / "cell[1].labels.tif", LABELS)
    assert [s.name for s in find_samples(tmp_path)] == ["cell[1]"]


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("images", {"latitude": "north", "longitude": 1}, "give degrees"),
        ("annotations", {"category_id": [3]}, "give a number"),
        ("annotations", {"image_id": {}}, "give a number"),
    ],
)
def test_entries_of_coco_that_make_no_sense_are_named(tmp_path, table, change, message):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    raw[table][0].update(change)
    (tmp_path / "val.json").write_text(json.dumps(raw))
    with pytest.raises(EvaluationError, match=message):
        find_samples(tmp_path / "val.json")


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_folder_is_refused_in_every_format(tmp_path, form):
    with pytest.raises(NapariSamError):
        find_samples(tmp_path, form)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[]", "not COCO"),
        ("a.json", json.dumps(coco()), "none of its 1 images exists"),
        ("a.npz", "x", "not TissueNet"),
        ("a.txt", "x", "not labelled images"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(EvaluationError, match=message) as error:
        find_samples(tmp_path / name)
    assert name in str(error.value)


def test_annotations_of_unknown_images_and_categories_are_refused(tmp_path):
    save_rgb(tmp_path / "a.png")
    raw = coco()
    raw["annotations"][0]["category_id"] = 99
    (tmp_path / "val.json").write_text(json.dumps(raw))
    with pytest.raises(EvaluationError, match="category id 99"):
        find_samples(tmp_path / "val.json")[0].truth()
    raw["annotations"][0]["image_id"] = 8
    (tmp_path / "val.json").write_text(json.dumps(raw))
    with pytest.raises(EvaluationError, match="image id 8"):
        find_samples(tmp_path / "val.json")


def test_what_is_not_there_is_named(collection):
    with pytest.raises(EvaluationError, match="'cats' is not under"):
        find_samples(collection, only=["cats"])
    with pytest.raises(EvaluationError, match="give one of"):
        find_samples(collection, "voc")
    with pytest.raises(EvaluationError, match="no such file"):
        find_samples(collection / "nothing")
    with pytest.raises(EvaluationError, match="give another split"):
        find_samples(collection, split="test")


def test_labels_of_another_shape_are_refused(collection):
    sample = find_samples(collection)[0]
    with pytest.raises(EvaluationError, match=r"\(20, 30\) for an image of shape \(20, 31\)"):
        sample.truth((20, 31))


def test_samples_can_go_to_another_process(collection):
    for one in find_samples(collection):
        assert pickle.loads(pickle.dumps(one)).truth().shape == (20, 30)


def test_images_and_objects_are_spread_evenly():
    samples = [Sample(d, str(i), None, lambda: None) for d in "ab" for i in range(9)]
    assert [(s.dataset, s.name) for s in select_samples(samples, 2)] == [("a", "0"), ("a", "8"), ("b", "0"), ("b", "8")]
    labels = np.zeros((20, 50), int)
    for i in range(5):
        labels[:8, 10 * i : 10 * i + 8] = i + 1
    labels[15, 0] = 6  # too small
    assert [o.label for o in select_objects(truth_from_labels(labels), 3)] == [1, 3, 5]


def test_random_numbers_belong_to_an_object_not_to_an_order():
    a, b = Sample("d", "a", None, lambda: None), Sample("d", "b", None, lambda: None)
    assert a.rng(0, "x", 3).random() == a.rng(0, "x", 3).random()
    others = [b.rng(0, "x", 3), a.rng(1, "x", 3), a.rng(0, "y", 3), a.rng(0, "x", 4)]
    assert a.rng(0, "x", 3).random() not in [r.random() for r in others]


def test_a_table_adds_columns_and_positions(collection):
    samples = find_samples(collection)
    table = {("cells", "a"): {"stain": "H&E", "latitude": "48.1", "longitude": "11.6"}, ("", "b"): {"stain": "PAS"}}
    found = add_groups(samples, table)
    assert [s.groups.get("stain") for s in found] == ["H&E", "PAS", None, "PAS"]
    assert found[0].position == (48.1, 11.6)
    with pytest.raises(EvaluationError, match=r"no row of the table belongs to an image: it names 'a\.png'"):
        add_groups(samples, {("", "a.png"): {"stain": "H&E"}})
    with pytest.raises(EvaluationError, match="latitude 98"):
        add_groups(samples, {("", "a"): {"latitude": "98", "longitude": "0"}})
