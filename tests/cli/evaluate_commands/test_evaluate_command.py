"""The command ``evaluate``, from data to report, and its messages for bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.cli import main
from tests.text.tiny_models import make_grounding_dino

HERE = ["--workers", "0", "--device", "cpu"]


@pytest.fixture
def data(tmp_path, nuclei):
    """Two data sets of nuclei and one photograph with boundaries."""
    image, labels = nuclei
    parts = {
        ("cells", "a"): np.s_[:180, :200],
        ("cells", "b"): np.s_[180:360, 100:300],
        ("more", "c"): np.s_[200:400, 300:500],
    }
    for (dataset, name), part in parts.items():
        folder = tmp_path / "data" / dataset / "dev"
        folder.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / f"{name}.image.tif", image[part])
        tifffile.imwrite(folder / f"{name}.labels.tif", labels[part].astype(np.uint16))
    folder = tmp_path / "data" / "BSDS500" / "dev"
    folder.mkdir(parents=True)
    Image.fromarray(image[:120, 100:220]).save(folder / "x.jpg")
    drawn = np.zeros((2, 120, 120), bool)
    drawn[:, 60] = True
    packed = np.packbits(drawn, axis=2)
    np.savez(folder / "x.gt.npz", boundaries_packed=packed, shape=np.array([120, 120]), seg_diff=np.zeros((2, 1, 1)))
    return tmp_path / "data"


def run(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_points_give_numbers_for_each_data_set_and_all(data, capsys):
    result = run(capsys, "points", data, "--per-image", "2", "--clicks", "3", *HERE)
    row = result["data sets"]["cells"]
    assert (row["objects"], row["images"]) == (4, 2)
    assert row["oracle"] >= row["1 click"] > 0.3
    assert result["mean"]["objects"] == 6
    sets = result["data sets"]
    assert result["mean"]["box"] == pytest.approx((sets["cells"]["box"] + sets["more"]["box"]) / 2)
    assert set(result["tables"]["points"]) == {"default", "otsu", "flood fill", "random walker", "grabcut", "box"}


def test_without_json_tables_are_printed(data, capsys):
    arguments = ["points", str(data), "--only", "more", "--per-image", "1", "--clicks", "1", "--no-baselines", *HERE]
    assert main(["evaluate", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "points"
    assert lines[1].split()[:3] == ["default", "1", "click"]
    assert lines[2].split()[0] == "more"


def test_everything_is_compared_with_other_programs(data, capsys, tmp_path):
    other = tmp_path / "other" / "cells"
    other.mkdir(parents=True)
    for name in "ab":
        truth = tifffile.imread(data / "cells" / "dev" / f"{name}.labels.tif")
        tifffile.imwrite(other / f"{name}_masks.tif", truth)
    labels = f"copy={tmp_path / 'other'}"
    result = run(capsys, "everything", data, "--only", "cells", "--labels", labels, *HERE)
    assert result["tables"]["everything"]["copy"]["cells"]["mSA"] == 1
    row = result["data sets"]["cells"]
    assert 0.2 < row["mSA"] < row["AP50"] <= 1
    old_name = run(capsys, "dense", data, "--only", "cells", *HERE)
    assert old_name["data sets"]["cells"]["mSA"] == row["mSA"]


def test_edges_of_masks_are_compared_with_sobel_and_canny(data, capsys):
    result = run(capsys, "edges", data, "--grid", "3", *HERE)
    assert set(result["tables"]["edges"]) == {"default", "sobel", "canny"}
    assert 0 <= result["mean"]["ODS"] <= 1


def test_proposals_have_average_recall(data, capsys):
    result = run(capsys, "proposals", data, "--only", "cells", "--grid", "5", *HERE)
    assert 0.1 < result["mean"]["AR all"] <= 1
    assert result["mean"]["AR single"] <= 1


def coco_of(folder, tmp_path):
    """An instances file of a data set's image, and a detector's boxes."""
    from napari_sam.evaluation.datasets.dataset_formats import find_samples
    from napari_sam.evaluation.metrics.coco_metrics import encode_mask

    truth = find_samples(folder)[0].truth()
    rows = [
        {
            "id": o.label,
            "image_id": 5,
            "category_id": 1,
            "segmentation": encode_mask(o.mask, o.origin, truth.shape),
            "iscrowd": 0,
        }
        for o in truth.objects
    ]
    image = {"id": 5, "file_name": "a.image.tif", "height": truth.shape[0], "width": truth.shape[1]}
    raw = {"images": [image], "annotations": rows, "categories": [{"id": 1, "name": "nucleus"}]}
    (folder / "instances.json").write_text(json.dumps(raw))
    boxes = [
        {"image_id": 5, "category_id": 1, "bbox": [o.box[1], o.box[0], o.mask.shape[1], o.mask.shape[0]], "score": 0.9}
        for o in truth.objects
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return folder / "instances.json", tmp_path / "boxes.json"


def test_instances_are_segmented_from_a_detectors_boxes(data, capsys, tmp_path):
    instances, boxes = coco_of(data / "cells" / "dev", tmp_path)
    result = run(capsys, "instances", instances, "--boxes", boxes, *HERE)
    assert result["mean"]["AP50"] > 0.5
    assert result["tables"]["instances"]["box"]["instances"]["AP50"] <= 1
    rows = json.loads(boxes.read_text())
    for change, words in (
        ({"score": float("nan")}, "score is nan"),
        ({"bbox": [1, 2, 0, 4]}, "is not a box"),
        ({"category_id": 9}, "9"),
        ({"image_id": "5"}, "image id '5'"),
        ({"image_id": 6}, "image id 6"),
    ):
        boxes.write_text(json.dumps([{**rows[0], **change}]))
        assert main(["evaluate", "instances", str(instances), "--boxes", str(boxes), *HERE]) == 2
        assert words in capsys.readouterr().err


def test_groups_are_printed_in_the_papers_layout(data, capsys, tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("sample,stain\na,DAPI\nb,Hoechst\nc,DAPI\n")
    arguments = [
        "groups",
        str(data),
        "--table",
        str(table),
        "--by",
        "stain",
        "--per-image",
        "1",
        "--clicks",
        "3",
        *HERE,
    ]
    assert main(["evaluate", *arguments]) == 0
    out = capsys.readouterr().out
    assert "mIoU at" in out
    assert "DAPI" in out
    assert "Hoechst" in out
    assert "not defined" in out  # one image has no interval


def test_data_are_described_and_audited(data, capsys, tmp_path):
    result = run(capsys, "data", data)
    assert result["data sets"]["more"]["images"] == 1
    before = tmp_path / "before" / "cells"
    before.mkdir(parents=True)
    for name in "ab":
        truth = tifffile.imread(data / "cells" / "dev" / f"{name}.labels.tif")
        tifffile.imwrite(before / f"{name}_cp_masks.tif", truth)
    result = run(capsys, "data", data, "--only", "cells", "--automatic", tmp_path / "before")
    assert result["agreement"]["above"] == {"0.90": 1.0, "0.75": 1.0}
    assert main(["evaluate", "data", str(data), "--only", "cells", "--automatic", str(tmp_path / "before")]) == 0
    assert "100.0 % above IoU 0.90" in capsys.readouterr().out


def test_one_command_makes_the_whole_report_and_resumes(data, capsys, tmp_path):
    small = ["--max-images", "1", "--per-image", "1", "--clicks", "2", "--grid", "3", "--out", tmp_path / "out", *HERE]
    first = run(capsys, "all", data, *small)
    assert set(first["tables"]) == {"points", "edges", "proposals", "instances", "everything", "data"}
    assert set(first["groups"]) == {"default"}
    again = run(capsys, "all", data, *small)
    assert again["tables"] == first["tables"]  # to the last digit
    text = (tmp_path / "out" / "report.html").read_text()
    assert "napari-sam evaluate all" in text
    assert "undefined" in text or "[" in text


def test_models_are_compared_side_by_side(data, capsys, tmp_path):
    arguments = [
        "--only",
        "cells",
        "--max-images",
        "2",
        "--per-image",
        "1",
        "--clicks",
        "1",
        "--grid",
        "2",
        "--no-baselines",
    ]
    models = ["--model", "default", "--model", "again=default"]
    result = run(capsys, "compare", data, *models, *arguments, "--out", tmp_path / "out", *HERE)
    assert result["models"] == ["default", "again"]
    assert result["tables"]["points"]["default"] == result["tables"]["points"]["again"]
    assert "default - again" in (tmp_path / "out" / "report.md").read_text()


@pytest.fixture
def phrases(data, tmp_path):
    instances, _ = coco_of(data / "cells" / "dev", tmp_path)
    raw = json.loads(instances.read_text())
    raw["annotations"][0]["phrases"] = ["a zebra"]
    instances.write_text(json.dumps(raw))
    return instances


def test_words_that_nothing_knows_are_refused(phrases, capsys):
    assert main(["evaluate", "text", str(phrases), *HERE]) == 2
    error = capsys.readouterr().err
    assert "text: 'zebra' is not in the vocabulary" in error
    assert "as --detector" in error


def test_text_is_measured_with_an_open_vocabulary_model(phrases, capsys, tmp_path):
    pytest.importorskip("transformers")
    detector = make_grounding_dino(tmp_path / "dino")
    assert main(["evaluate", "text", str(phrases), *HERE, "--detector", str(detector), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["tables"]["text"]["default"]["instances"]
    assert 0 <= table["text"] <= table["text + 1"] <= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["points", "DATA", "--only", "fields"], "there are BSDS500, cells, more"),
        (["points", "DATA", "--split", "test"], "DATASET/test"),
        (["points"], "DATA or --path DATA"),
        (["points", "DATA", "--path", "DATA"], "DATA or --path DATA"),
        (["points", "DATA/nothing"], "no such file or folder"),
        (["points", "DATA", "--format", "voc"], "give one of"),
        (["points", "DATA", "--max-images", "-1"], "--max-images is -1"),
        (["points", "DATA", "--workers", "-2"], "--workers is -2"),
        (["points", "DATA", "--clicks", "0"], "--clicks is 0"),
        (["points", "BAD/shape"], "labels of shape (9, 9)"),
        (["everything", "BAD/shape"], "labels of shape (9, 9)"),
        (["points", "BAD/float"], "save them as integers"),
        (["points", "BAD/empty"], "no object of at least 16 px"),
        (["everything", "BAD/alone"], "no labelled image"),
        (["everything", "DATA", "--labels", "cellpose"], "give NAME=FOLDER"),
        (["everything", "DATA", "--labels", "cellpose=DATA/none"], "no such folder"),
        (["edges", "BAD/empty"], "none of the 1 images has boundaries"),
        (["edges", "DATA", "--grid", "0"], "--grid is 0"),
        (["groups", "DATA", "--table", "DATA/none.csv"], "none.csv"),
        (["groups", "DATA", "--by", "stane"], "--by stane"),
        (["points", "DATA", "--seed", "-1"], "--seed is -1"),
        (["compare", "DATA", "--model", "default"], "needs at least two models"),
        (["compare", "DATA", "--model", "default", "--model", "default"], "two models are called 'default'"),
        (["points", "DATA", "--model", "vit_z"], "vit_z"),
        (["instances", "DATA", "--boxes", "DATA/none.json"], "give the COCO file"),
        (["points", "DATA", "--out", "DATA/cells/dev/a.image.tif"], "is a file"),
        (["data", "DATA", "--automatic", "DATA/more/dev", "--only", "cells"], "holds no label image named after"),
        (["everything", "DATA", "--labels", "default=DATA"], "a model has this name"),
        (["text", "DATA"], "give that file"),
        (["points", "EMPTY"], "the folder is empty"),
        (["human", "rate", "DATA", "--rater", "ada"], "evaluate human prepare"),
        (["human", "report", "DATA"], "evaluate human prepare"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(data, capsys, arguments, words):
    bad = data.parent / "bad"
    for name, labels in (("shape", np.ones((9, 9), np.uint8)), ("float", np.ones((96, 96), np.float32))):
        _pair(bad / name, labels)
    _pair(bad / "empty", np.zeros((96, 96), np.uint8))
    _pair(bad / "alone", np.ones((96, 96), np.uint8), image=False)
    empty = data.parent / "nothing"
    empty.mkdir()
    given = [a.replace("DATA", str(data)).replace("BAD", str(bad)).replace("EMPTY", str(empty)) for a in arguments]
    if arguments[0] not in ("human", "data") and "--workers" not in arguments:
        given += HERE
    assert main(["evaluate", *given]) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("napari-sam:")]
    assert len(err) == 1
    assert words in err[0]


def _pair(folder, labels, image=True):
    folder.mkdir(parents=True)
    tifffile.imwrite(folder / "x.labels.tif", labels)
    if image:
        tifffile.imwrite(folder / "x.image.tif", np.zeros((96, 96), np.uint8))


def test_images_without_labels_are_named(data, capsys):
    for i in range(5):
        tifffile.imwrite(data / "cells" / "dev" / f"lonely{i}.labels.tif", np.ones((9, 9), np.uint8))
    assert main(["evaluate", "data", str(data), "--only", "cells", "--workers", "0"]) == 0
    err = capsys.readouterr().err
    assert err.count("labels without an image") == 3
    assert "note: and 2 more" in err


def test_a_study_is_prepared_rated_and_reported(data, capsys, tmp_path):
    study = tmp_path / "study"
    made = run(capsys, "human", "prepare", data, "--study", study, "--objects", "3", "--device", "cpu")
    assert made["masks to rate"] == 6
    from napari_sam.evaluation.rating.rating_study import RatingStudy

    opened = RatingStudy.open(study)
    for item in opened.items:
        opened.rate("ada", item.number, 9 if item.source == "default" else 10)
    report = run(capsys, "human", "report", study)
    assert report["differences"][0]["difference"] == -1
    assert main(["evaluate", "human", "report", str(study)]) == 0
    assert "default - ground truth: -1.00" in capsys.readouterr().out


def test_a_stopped_run_tells_how_to_continue(data, capsys, tmp_path, monkeypatch):
    import signal

    from napari_sam.cli.evaluate_commands import evaluate_command as cli_evaluate

    class Stopping(cli_evaluate.ProgressLine):
        def __call__(self, done, total, note=""):
            if done == 1:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(cli_evaluate, "ProgressLine", Stopping)
    arguments = ["data", str(data), "--out", str(tmp_path / "out"), "--workers", "0"]
    assert main(["evaluate", *arguments]) == 130
    assert "continue with the same command" in capsys.readouterr().err
    monkeypatch.undo()
    result = run(capsys, *arguments)
    assert result["data sets"]["cells"]["images"] == 2
