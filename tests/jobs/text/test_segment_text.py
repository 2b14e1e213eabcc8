"""Whole images by phrases: by a concept, by a detector on tiles, and conditions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import napari_sam as ns
from napari_sam.concept import Concept
from napari_sam.engine.geometry import Box
from napari_sam.errors import CancelledError, PromptError, SettingsError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.reading.replay import to_script
from napari_sam.predictor import Predictor
from napari_sam.samples import nuclei, nuclei_labels
from napari_sam.text.text_detector import Detections
from napari_sam.text.text_search import TextSearch
from napari_sam.text.vocabulary import Vocabulary

CROP = np.s_[64:256, 352:544]
IMAGE, TRUTH = np.asarray(nuclei())[CROP], np.asarray(nuclei_labels())[CROP]

LEVEL = 0.5 * IMAGE[TRUTH > 0].mean()


class BrightDetector:
    """Finds bright areas of a picture; those that are larger have better scores."""

    name, side, threshold = "bright", 128, 0.2

    def __init__(self):
        self.calls = 0

    def detect(self, rgb, text):
        self.calls += 1
        areas, _ = ndimage.label(rgb[..., 0] > LEVEL)
        boxes = np.array([[r.start, c.start, r.stop, c.stop] for r, c in ndimage.find_objects(areas)], float)
        sizes = (boxes[:, 2:] - boxes[:, :2]).prod(1) if len(boxes) else np.zeros(0)
        return Detections.of(boxes[sizes > 150], 0.3 + 0.5 * sizes[sizes > 150] / 40_000)


@pytest.fixture(scope="module")
def predictor():
    predictor = Predictor(device="cpu")
    predictor.set_image(IMAGE)
    return predictor


@pytest.fixture(scope="module")
def words():
    labels, areas = np.unique(TRUTH, return_counts=True)
    large = [int(label) for label in labels[np.argsort(-areas)] if label][:2]
    concept = Concept.from_examples(IMAGE, TRUTH, positive=large, name="nucleus")
    vocabulary = Vocabulary()
    vocabulary.add("nucleus", concept)
    return TextSearch(vocabulary)


def matched(labels):
    """Return the number of true objects that the labels show with an IoU of at least 0.5."""
    found = 0
    for label in np.unique(TRUTH[TRUTH > 0]):
        mask = TRUTH == label
        ious = [(mask & (labels == n)).sum() / (mask | (labels == n)).sum() for n in np.unique(labels[mask]) if n]
        found += max(ious, default=0) >= 0.5
    return found


def test_a_word_of_the_vocabulary_gives_the_objects_of_its_concept(predictor, words):
    report = ns.segment_everything(IMAGE, predictor, text="all nuclei", detector=words)
    expected = ns.find(IMAGE, words.vocabulary.find("nucleus").concept, predictor)
    np.testing.assert_array_equal(np.asarray(report.labels.array), np.asarray(expected.labels.array))
    assert set(report.labels.table()["category"]) == {"nucleus"}
    assert report.objects == expected.objects > 0


def test_a_detectors_boxes_become_objects_and_tiles_are_merged(predictor):
    detector = BrightDetector()
    report = ns.segment_everything(IMAGE, predictor, text="bright blobs", detector=TextSearch(Vocabulary(), detector))
    assert detector.calls > 1
    assert report.method == "text"
    assert matched(np.asarray(report.labels.array)) >= 5
    assert set(report.labels.table()["category"]) == {"bright blobs"}
    assert report.labels.table()["predicted_iou"].max() < 0.9  # the detector's score, not the network's


def test_conditions_delete_the_others_and_can_be_undone(predictor):
    search = TextSearch(Vocabulary(), BrightDetector())
    everything = ns.segment_everything(IMAGE, predictor, text="blobs", detector=search).labels.table()
    report = ns.segment_everything(IMAGE, predictor, text="blobs with area over 600 px", detector=search)
    areas = report.labels.table()["area_px"]
    assert (areas > 600).all()
    assert report.objects == len(areas) == (everything["area_px"] > 600).sum() < len(everything)
    report.labels.undo()
    assert len(report.labels) == len(everything)
    report.labels.undo()
    assert len(report.labels) == 0


def test_conditions_in_physical_units_use_the_pixel_size(predictor):
    image = open_image(IMAGE)
    image.scale, image.unit = (0.5, 0.5), "micrometer"
    search = TextSearch(Vocabulary(), BrightDetector())
    report = ns.segment_everything(image, predictor, text="blobs with area over 150 µm²", detector=search)
    assert (report.labels.table()["area_px"] > 600).all()
    with pytest.raises(PromptError, match="no pixel size"):
        ns.segment_everything(IMAGE, predictor, text="blobs over 5 µm", detector=search)


def test_only_conditions_ask_for_objects_of_any_kind(predictor):
    report = ns.segment_everything(IMAGE, predictor, text="objects touching the border")
    boxes = report.labels.table()[["y0", "x0", "y1", "x1"]].to_numpy()
    assert len(boxes) > 0
    assert ((boxes[:, :2] == 0).any(1) | (boxes[:, 2:] == 192).any(1)).all()
    assert report.labels.table()["category"].isna().all()


def test_a_cancelled_run_continues(predictor, tmp_path):
    detector = BrightDetector()
    search = TextSearch(Vocabulary(), detector)
    arguments = {"output": tmp_path / "s.ome.zarr", "text": "blobs", "detector": search}
    with pytest.raises(CancelledError):
        ns.segment_everything(IMAGE, predictor, cancelled=lambda: detector.calls >= 2, **arguments)
    report = ns.segment_everything(IMAGE, predictor, resume=True, **arguments)
    whole = ns.segment_everything(IMAGE, predictor, text="blobs", detector=search)
    np.testing.assert_array_equal(np.asarray(report.labels.array), np.asarray(whole.labels.array))


def test_another_phrase_does_not_continue_a_run(predictor, tmp_path):
    detector = BrightDetector()
    arguments = {"output": tmp_path / "s.ome.zarr", "detector": TextSearch(Vocabulary(), detector)}
    with pytest.raises(CancelledError):
        ns.segment_everything(IMAGE, predictor, text="blobs", cancelled=lambda: detector.calls >= 2, **arguments)
    with pytest.raises(SettingsError, match="text"):
        ns.segment_everything(IMAGE, predictor, text="spots", resume=True, **arguments)


def test_the_replay_script_names_the_phrase_and_the_detector(predictor):
    report = ns.segment_everything(
        IMAGE, predictor, text="blobs with area over 600 px", detector=TextSearch(Vocabulary(), BrightDetector())
    )
    script = to_script(report.labels)
    assert "text='blobs'" in script
    assert "detector='bright'" in script
    assert script.index("text='blobs'") < script.index("delete")


def test_a_detector_runs_in_this_process_only(predictor):
    with pytest.raises(SettingsError, match="bright, which runs in this process only; leave workers and client out"):
        ns.segment_everything(
            IMAGE, predictor, text="blobs", detector=TextSearch(Vocabulary(), BrightDetector()), workers=2
        )


@pytest.mark.parametrize("text", ["", "qwertz", "larger than 5"])
def test_bad_text_leaves_no_store(predictor, tmp_path, text):
    with pytest.raises(PromptError):
        ns.segment_everything(IMAGE, predictor, tmp_path / "s.ome.zarr", text=text)
    assert not (tmp_path / "s.ome.zarr").exists()


def test_large_objects_are_found_at_a_coarser_scale(predictor):
    image = np.zeros((600, 600), np.uint8)
    image[100:500, 80:520] = 180
    search = TextSearch(Vocabulary(), BrightDetector())
    report = ns.segment_everything(image, predictor, text="square", detector=search)
    table = report.labels.table()
    assert Box(100, 80, 500, 520).iou(table.loc[table["area_px"].idxmax(), ["y0", "x0", "y1", "x1"]].tolist()) > 0.8


def test_a_ranker_decides_what_fits(predictor):
    class Ranker:
        def rank(self, crops, text):
            return np.array([0.9 if crop.max() > 45 else 0.1 for crop in crops], np.float32)

    detector = BrightDetector()
    report = ns.segment_everything(
        IMAGE, predictor, text="blobs", detector=TextSearch(Vocabulary(), detector, Ranker())
    )
    plain = ns.segment_everything(IMAGE, predictor, text="blobs", detector=TextSearch(Vocabulary(), detector))
    assert report.objects < plain.objects
    assert set(report.labels.table()["predicted_iou"].round(3)) <= {0.9}
