"""Networks that ``train text`` has written: loaded as a detector, and bad files."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from napari_sam.cli import main
from napari_sam.errors import CheckpointError
from napari_sam.text.detectors.load_detector import load_detector
from napari_sam.text.detectors.trained_text import TrainedTextDetector, load_clip, save_trained
from src_models import load_sam
from src_models.networks.text_projection import TextProjection
from tests.src_models.training.text.toy_clip import write_pictures

RGB = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def trained(model_folders, tmp_path):
    clip = model_folders("clip")
    return save_trained(load_sam("default"), TextProjection(16, 256), clip, tmp_path / "trained")


def test_a_trained_network_is_a_detector(trained):
    detector = load_detector(trained)
    assert isinstance(detector, TrainedTextDetector)
    found = detector.detect(RGB, "cell")
    assert found.boxes.shape == (len(found), 4)
    assert ((found.boxes >= 0) & (found.boxes <= [41, 61, 41, 61])).all()
    assert detector.side == 512


def test_damaged_files_are_named(trained, tmp_path):
    (trained / "text.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"text\.safetensors: is no projection"):
        load_detector(trained)
    config = json.loads((trained / "config.json").read_text())
    (trained / "config.json").write_text(json.dumps(config | {"clip": "no/such"}))
    with pytest.raises(CheckpointError, match="hf download no/such"):
        load_detector(str(trained))


def test_another_model_is_no_clip(model_folders):
    with pytest.raises(CheckpointError, match="'owlv2'; give a folder of CLIP"):
        load_clip(model_folders("owlv2"))


def test_the_command_trains_and_its_result_answers_phrases(model_folders, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write_pictures(data, 1, side=256)
    clip = str(model_folders("clip"))
    arguments = ["--data", str(data), "--out", str(out), "--clip", clip, "--steps", "1", "--json"]
    assert main(["train", "text", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(out)
    load_detector(out).detect(RGB, "cell")
    shutil.rmtree(out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["text", "--data", "D", "--out", "O"], "--clip is missing; give --clip FOLDER, of CLIP"),
        (["finetune", "--data", "D", "--out", "O", "--clip", "C"], "use it with 'train text'"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, words):
    assert main(["train", *arguments]) == 2
    assert words in capsys.readouterr().err
