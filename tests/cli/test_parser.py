"""The command line: results, exit statuses, one-line errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_sam import samples
from napari_sam.cli import main

NUCLEI = str(samples.NUCLEI)


def test_segment_writes_labels_and_prints_json(tmp_path, capsys, nuclei):
    out = tmp_path / "l.tif"
    status = main(["segment", NUCLEI, "--point", "121,182", "--negative", "5,5", "--output", str(out), "--json"])
    assert status == 0
    result = json.loads(capsys.readouterr().out)
    labels, truth = tifffile.imread(out), nuclei[1] == nuclei[1][121, 182]
    assert result["objects"][0]["area_px"] == (labels == 1).sum()
    assert ((labels == 1) & truth).sum() / ((labels == 1) | truth).sum() > 0.7


def test_several_boxes_are_several_objects(capsys):
    assert main(["segment", NUCLEI, "--box", "95,158,147,208", "--box", "270,240,328,300"]) == 0
    assert capsys.readouterr().out.count("object ") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segment", NUCLEI], "no prompt"),
        (["segment", NUCLEI, "--point", "999,3"], "(999, 3) lies outside"),
        (["segment", "no/such.tif", "--point", "1,1"], "no/such.tif"),
        (["segment", NUCLEI, "--point", "1,1", "--model", "sam9"], "sam9"),
        (["segment", NUCLEI, "--point", "1,1", "--device", "abacus"], "abacus"),
        (["segment", NUCLEI, "--box", "5,5,5,9"], "is empty"),
        (
            ["segment", NUCLEI, "--point", "1,1", "--box", "1,1,5,9", "--box", "1,1,5,9"],
            "2 boxes with points",
        ),
        (["segment", NUCLEI, "--point", "9,9", "--output", "/no/where.tif"], "/no"),
        (["info", NUCLEI + "x"], "no such file"),
        (["models", "info", "sam9"], "sam9"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, arguments, words):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert err.startswith("napari-sam: ")


@pytest.mark.parametrize("arguments", [["segment", NUCLEI, "--point", "1;2"], ["segment"], ["nonsense"]])
def test_bad_arguments_are_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_info_describes_an_image(capsys):
    assert main(["info", NUCLEI, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [512, 640]


def test_models_are_listed_and_described(capsys):
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    assert "default" in listed
    assert "vit_h" in listed
    assert main(["models", "info", "vit_b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size_bytes"] == 375_042_383


def test_a_checkpoint_of_another_kind_is_refused(tmp_path, capsys):
    (tmp_path / "x.pth").write_bytes(b"<html>not weights</html>")
    assert main(["segment", NUCLEI, "--point", "1,1", "--model", str(tmp_path / "x.pth")]) == 2
    assert "x.pth" in capsys.readouterr().err


def test_the_demo_leaves_labels_table_and_picture(tmp_path, capsys):
    assert main(["demo", "--headless", "--out", str(tmp_path / "d"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert np.median(result["IoU with the hand-drawn nuclei"]) > 0.75
    assert tifffile.imread(tmp_path / "d" / "labels.tif").max() == 6
    for name in ("objects.csv", "screenshot.png"):
        assert (tmp_path / "d" / name).stat().st_size > 100


@pytest.fixture
def data(tmp_path):
    """A data set of two images, and configurations of one step."""
    from src_models.training.synthetic.sample import synthetic_sample

    folder = tmp_path / "data" / "cells" / "dev"
    folder.mkdir(parents=True)
    for i in range(2):
        image, labels = synthetic_sample(96, np.random.default_rng(i), style="nuclei")
        tifffile.imwrite(folder / f"s{i}.image.tif", image)
        tifffile.imwrite(folder / f"s{i}.labels.tif", labels.astype(np.uint16))
    (tmp_path / "train.toml").write_text(
        'start = ""\nsteps = 1\nbatch = 1\nobjects = 1\ncrop_px = 64\npicture_every = 1\n'
        '[[folders]]\npath = "cells/dev"\n'
    )
    (tmp_path / "mae.toml").write_text('steps = 1\nbatch = 1\ncrop_px = 64\nimages = ["cells"]\n')
    return tmp_path


def test_training_from_the_command_line(data, capsys):
    run = data / "run"
    common = ["--data", str(data / "data"), "--out", str(run), "--device", "cpu"]
    config = str(data / "train.toml")
    assert main(["train", config, *common, "--resume"]) == 2
    assert "no state.pt to resume" in capsys.readouterr().err
    assert main(["train", "--config", config, *common, "--json"]) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["steps"] == 1
    assert "step 1/1" in streams.err
    assert main(["train", config, *common, "--resume", "--steps", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    image = str(data / "data" / "cells" / "dev" / "s0.image.tif")
    assert main(["segment", image, "--point", "40,40", "--model", str(run / "model.safetensors")]) == 0
    assert main(["train", *common]) == 2
    assert "one configuration file, or a recipe: default-1" in capsys.readouterr().err


def test_recipes_can_be_shown_and_are_not_mixed_up(capsys):
    assert main(["train", "paper", "--show"]) == 0
    assert 'recipe = "paper"' in capsys.readouterr().out
    assert main(["pretrain", "pretrain", "--show"]) == 0
    assert "mask_ratio" in capsys.readouterr().out
    for arguments, words in (
        (["train", "pretrain", "--out", "x", "--data", "."], "a recipe for 'napari-sam pretrain'"),
        (["pretrain", "paper", "--out", "x", "--data", "."], "a recipe for 'napari-sam train'"),
        (["train", "finetune", "--out", "x"], "give --data FOLDER"),
        (["train", "finetune", "--data", "."], "give --out FOLDER"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


def test_ctrl_c_saves_and_the_same_command_goes_on(data, capsys, monkeypatch):
    import signal

    from napari_sam.cli import training_commands as cli_training

    monkeypatch.setattr(cli_training, "_report", lambda step, steps, values: signal.raise_signal(signal.SIGINT))
    arguments = ["train", str(data / "train.toml"), "--data", str(data / "data"), "--out", str(data / "run")]
    arguments += ["--device", "cpu", "--steps", "50", "--json"]
    assert main(arguments) == 130  # so that a script does not go on as if all was done
    assert "the same command goes on from here" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    assert main([*arguments[:-3], "--steps", "1", "--json"]) == 0
    streams = capsys.readouterr()
    assert "at step 1 already" in streams.err
    assert json.loads(streams.out)["steps"] == 1


def test_pretraining_from_the_command_line(data, capsys):
    arguments = ["pretrain", str(data / "mae.toml"), "--data", str(data / "data"), "--out", str(data / "mae")]
    assert main([*arguments, "--device", "cpu", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps"] == 1
    assert result["images"] == 2
    assert (data / "mae" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "finetun", "--out", "DATA/run"], "there are default-1, default-2, default-3"),
        (["train", "DATA/none.toml", "--data", "DATA", "--out", "DATA/run"], "no such file"),
        (["train", "finetune", "--data", "DATA/cells/dev", "--out", "DATA/run", "--device", "abacus"], "abacus"),
    ],
)
def test_training_names_what_is_wrong(data, capsys, arguments, words):
    places = {"DATA": str(data / "data")}
    for word, place in places.items():
        arguments = [a.replace(word, place) for a in arguments]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
