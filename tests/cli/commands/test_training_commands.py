"""The commands ``train``, ``pretrain`` and ``calibrate``."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import tifffile

from napari_sam.cli import main
from napari_sam.cli.commands import training_commands


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


def test_train_writes_and_resumes_a_run(data, capsys):
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
    assert "give one TOML file or recipe: default-1" in capsys.readouterr().err


def test_recipes_can_be_printed_and_belong_to_one_command(capsys):
    assert main(["train", "paper", "--show"]) == 0
    assert 'recipe = "paper"' in capsys.readouterr().out
    assert main(["pretrain", "pretrain", "--show"]) == 0
    assert "mask_ratio" in capsys.readouterr().out
    for arguments, words in (
        (["train", "pretrain", "--out", "x", "--data", "."], "use 'napari-sam pretrain'"),
        (["pretrain", "paper", "--out", "x", "--data", "."], "use 'napari-sam train'"),
        (["train", "finetune", "--out", "x"], "give --data FOLDER"),
        (["train", "finetune", "--data", "."], "give --out FOLDER"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


def test_ctrl_c_saves_and_the_same_command_continues(data, capsys, monkeypatch):
    def report(line):
        return lambda step, steps, values: signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(training_commands, "step_reporter", report)
    arguments = ["train", str(data / "train.toml"), "--data", str(data / "data"), "--out", str(data / "run")]
    arguments += ["--device", "cpu", "--steps", "50", "--json"]
    assert main(arguments) == 130  # so that a script does not go on as if all was done
    assert "continue with the same command" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    assert main([*arguments[:-3], "--steps", "1", "--json"]) == 0
    streams = capsys.readouterr()
    assert "already at step 1" in streams.err
    assert json.loads(streams.out)["steps"] == 1


def test_pretrain_writes_an_encoder(data, capsys):
    arguments = ["pretrain", str(data / "mae.toml"), "--data", str(data / "data"), "--out", str(data / "mae")]
    assert main([*arguments, "--device", "cpu", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps"] == 1
    assert result["images"] == 2
    assert (data / "mae" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "finetun", "--out", "DATA/run"], "choose one of default-1, default-2, default-3"),
        (["train", "DATA/none.toml", "--data", "DATA", "--out", "DATA/run"], "no such file"),
        (["train", "finetune", "--data", "DATA/cells/dev", "--out", "DATA/run", "--device", "abacus"], "abacus"),
    ],
)
def test_training_names_wrong_arguments(data, capsys, arguments, words):
    places = {"DATA": str(data / "data")}
    for word, place in places.items():
        arguments = [a.replace(word, place) for a in arguments]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
