"""Tiny random models of transformers as detectors: without torchvision, and equal to what transformers itself reads."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from napari_sam.errors import CheckpointError, ModelError
from napari_sam.text.detectors.load_detector import load_detector, load_ranker
from tests.text.tiny_models import MAKERS

RGB = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", MAKERS)
def test_every_supported_model_finds_boxes_in_the_picture(model_folders, kind):
    detector = load_detector(model_folders(kind))
    detector.threshold = 0.0  # of CLIPSeg's map: random weights give no clear objects
    found = detector.detect(RGB, "cell")
    assert len(found) > 0
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    assert (found.boxes[:, 2:] >= found.boxes[:, :2]).all()
    assert ((centres >= 0) & (centres <= 60)).all()
    assert type(detector).__name__.lower().startswith(kind.replace("-", ""))


@pytest.mark.parametrize("kind", ["owlv2", "grounding-dino"])
def test_boxes_and_scores_are_those_of_the_library(model_folders, kind):
    detector = load_detector(model_folders(kind))
    found = detector.detect(RGB, "cell")
    inputs = detector.inputs(RGB, "cell")
    with torch.inference_mode():
        outputs = detector.network(**inputs)
    more = {"text_threshold": 0.0, "input_ids": inputs["input_ids"]} if kind == "grounding-dino" else {}
    read = detector.processor.post_process_grounded_object_detection
    expected = read(outputs, threshold=0.02, target_sizes=[RGB.shape[:2]], **more)[0]
    np.testing.assert_allclose(found.boxes[:, [1, 0, 3, 2]], expected["boxes"].numpy(), atol=1e-3)
    np.testing.assert_allclose(found.scores, expected["scores"].numpy(), atol=1e-5)


def test_the_phrase_decides_the_scores(model_folders):
    detector = load_detector(model_folders("owlv2"))
    assert not np.allclose(detector.detect(RGB, "cell").scores, detector.detect(RGB, "zebra").scores)


def test_an_object_of_clipseg_is_a_connected_area_of_its_map(model_folders):
    detector = load_detector(model_folders("clipseg"))
    detector.threshold = 0.4
    logits = torch.full((1, 32, 32), -3.0)
    logits[0, 8:16, 4:12], logits[0, 20:24, 20:32] = 2.0, 1.0
    found = detector.read(type("Outputs", (), {"logits": logits}), (64, 96))
    np.testing.assert_allclose(found.boxes, [[16, 12, 32, 36], [40, 60, 48, 96]])
    np.testing.assert_allclose(found.scores, torch.sigmoid(torch.tensor([2.0, 1.0])), atol=1e-5)


def test_no_model_loads_torchvision(model_folders):
    pytest.importorskip("transformers")
    folders = [str(model_folders(kind)) for kind in (*MAKERS, "clip")]
    script = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from napari_sam.text.detectors.load_detector import load_detector, load_ranker\n"
        "import numpy as np\n"
        f"folders = {folders!r}\n"
        "rgb = np.zeros((40, 40, 3), np.uint8)\n"
        "counts = [len(load_detector(folder).detect(rgb, 'cell')) for folder in folders[:-1]]\n"
        "assert load_ranker(folders[-1]).rank([rgb], 'cell').shape == (1,)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def test_clip_ranks_pictures_by_a_phrase(model_folders):
    ranker = load_ranker(model_folders("clip"))
    crops = [RGB, 255 - RGB, RGB[:, :30], *[RGB] * 15]
    scores = ranker.rank(crops, "cell")
    inputs = ranker.processor(
        text=["cell", "background"], images=[Image.fromarray(RGB)], padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        logits = ranker.network(**inputs).logits_per_image[0]
    assert scores.shape == (18,)
    np.testing.assert_allclose(scores[[0, 3, 17]], float(logits.softmax(-1)[0]), atol=1e-5)
    assert len(ranker.rank([], "cell")) == 0


def test_a_model_that_is_neither_a_folder_nor_in_the_cache_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(CheckpointError, match=r"hub/models--google--owlv2\).*hf download google/owlv2"):
        load_detector("google/owlv2")


def test_a_model_in_the_cache_is_found_by_its_name(model_folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--google--owlv2/snapshots/abc"
    shutil.copytree(model_folders("owlv2"), snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("abc\n")
    assert load_detector("google/owlv2").name == "google/owlv2"


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("model.safetensors", None, CheckpointError, r"model\.safetensors: no such file"),
        ("config.json", None, CheckpointError, r"config\.json: no such file"),
        ("config.json", b"{", CheckpointError, r"config\.json: cannot be read"),
        ("config.json", b"[]", CheckpointError, r"config\.json: cannot be read"),
        ("config.json", b'{"model_type": "bert"}', ModelError, "its model_type is 'bert'; give one of OWLv2"),
        ("model.safetensors", b"no tensors", CheckpointError, "cannot be loaded as Owlv2ForObjectDetection"),
        ("tokenizer.json", b"no tokens", CheckpointError, "cannot be loaded as"),
    ],
)
def test_a_missing_or_damaged_file_is_named(model_folders, tmp_path, name, content, error, words):
    folder = tmp_path / "model"
    shutil.copytree(model_folders("owlv2"), folder)
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(error, match=words):
        load_detector(folder)


def test_a_detector_is_no_ranker(model_folders):
    with pytest.raises(ModelError, match="'owlv2'; give a CLIP model"):
        load_ranker(model_folders("owlv2"))


def test_without_transformers_the_extra_is_named(model_folders, monkeypatch):
    folder = model_folders("owlv2")
    load_detector.cache_clear()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'napari-sam-xl\[text\]'"):
        load_detector(folder)
