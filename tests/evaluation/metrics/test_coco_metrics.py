"""Average precision and recall against plain pycocotools, and LVIS's rules by hand."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject, truth_from_labels
from napari_sam.evaluation.metrics.coco_metrics import (
    average_precision,
    encode_mask,
    match_categories,
    object_recalls,
    size_category,
)

SHAPE = (120, 160)


def square(y, x, side):
    return np.ones((side, side), bool), (y, x)


def scene(rng, count=8):
    """Return squares of all sizes, and shifted copies with scores."""
    objects, detections = [], []
    for _ in range(count):
        side = int(rng.integers(6, 118))
        y, x = int(rng.integers(0, SHAPE[0] - side)), int(rng.integers(0, SHAPE[1] - side))
        category = str(rng.choice(["a", "b"]))
        mask, origin = square(y, x, side)
        objects.append(
            {"runs": encode_mask(mask, origin, SHAPE), "area": side * side, "category": category, "crowd": False}
        )
        shift = int(rng.integers(0, 1 + side // 4))
        mask, origin = square(min(y + shift, SHAPE[0] - side), x, side)
        detections.append(
            {"runs": encode_mask(mask, origin, SHAPE), "category": category, "score": float(rng.random())}
        )
    return {"shape": SHAPE, "objects": objects, "found": detections}


def evaluate_plainly(images, use_categories, max_detections):
    """Run COCO's evaluation as its documentation does."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids = {"a": 1, "b": 2}
    truth, detections = [], []
    for image_id, image in enumerate(images, start=1):
        for item in image["objects"]:
            entry = {
                "image_id": image_id,
                "category_id": ids[item["category"]],
                "segmentation": item["runs"],
                "iscrowd": 0,
            }
            truth.append({**entry, "id": len(truth) + 1, "area": item["area"], "bbox": [0, 0, 1, 1]})
        for item in image["found"]:
            entry = {"image_id": image_id, "category_id": ids[item["category"]], "segmentation": item["runs"]}
            detections.append({**entry, "score": item["score"]})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1, "height": SHAPE[0], "width": SHAPE[1]} for i in range(len(images))],
            "annotations": truth,
            "categories": [{"id": i, "name": n} for n, i in ids.items()],
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(detections), "segm")
        run.params.useCats, run.params.maxDets = use_categories, [1, 10, max_detections]
        run.evaluate()
        run.accumulate()
    return run.eval


def test_average_precision_is_that_of_pycocotools(rng):
    images = [scene(rng) for _ in range(4)]
    ours = average_precision(match_categories(images, ["a", "b"]))
    precision = evaluate_plainly(images, 1, 100)["precision"][..., -1]
    for name, area in (("AP", 0), ("AP small", 1), ("AP medium", 2), ("AP large", 3)):
        values = precision[..., area]
        assert ours[name] == pytest.approx(values[values > -1].mean(), abs=1e-6)
    assert ours["AP50"] == pytest.approx(precision[0, ..., 0].mean(), abs=1e-6)
    assert ours["AP75"] == pytest.approx(precision[5, ..., 0].mean(), abs=1e-6)


def test_the_mean_of_recalls_is_the_average_recall_of_pycocotools(rng):
    images = [scene(rng, 12) for _ in range(3)]
    recalls, by_size = [], {"small": [], "medium": [], "large": []}
    from pycocotools import mask as tools

    for image in images:
        objects, masks = [], []
        for i, item in enumerate(image["objects"], start=1):
            full = tools.decode({**item["runs"], "counts": item["runs"]["counts"].encode()}).astype(bool)
            y, x = (int(v[0]) for v in np.nonzero(full))
            side = math.isqrt(item["area"])
            objects.append(TrueObject(i, full[y : y + side, x : x + side], (y, x)))
        for item in image["found"]:
            full = tools.decode({**item["runs"], "counts": item["runs"]["counts"].encode()}).astype(bool)
            masks.append((full, (0, 0), item["score"]))
        by_label = object_recalls(GroundTruth(SHAPE, tuple(objects)), masks, 1000)
        recalls += [by_label[o.label][0] for o in objects]
        for o in objects:
            by_size[size_category(o.area_px)].append(by_label[o.label][1])
    recall = evaluate_plainly(images, 0, 1000)["recall"][..., -1]
    assert np.mean(recalls) == pytest.approx(recall[:, 0, 0].mean(), abs=1e-6)
    for k, name in enumerate(by_size, start=1):
        assert np.mean(by_size[name]) == pytest.approx(recall[:, 0, k].mean(), abs=1e-6)


def test_recalls_by_hand():
    labels = np.zeros((20, 20), int)
    labels[0:10, 0:10], labels[10:20, 10:20] = 1, 2
    masks = [(np.ones((10, 8), bool), (0, 0), 0.9)]  # IoU 0.8 with the first object: 0.50 to 0.80 are seven of ten
    by_label = object_recalls(truth_from_labels(labels), masks, 1000)
    assert by_label == {1: (pytest.approx(0.7), pytest.approx(0.7)), 2: (0.0, 0.0)}


def test_only_the_best_masks_count():
    labels = np.zeros((20, 20), int)
    labels[0:10, 0:10] = 1
    masks = [(np.ones((10, 10), bool), (0, 0), 0.1), (np.ones((5, 5), bool), (12, 12), 0.9)]
    assert object_recalls(truth_from_labels(labels), masks, 1)[1][0] == 0
    assert object_recalls(truth_from_labels(labels), masks, 2)[1][0] == 1


def image_with(detections, **federated):
    mask, origin = square(0, 0, 40)
    objects = [{"runs": encode_mask(mask, origin, SHAPE), "area": 1600, "category": "a", "crowd": False}]
    return {"shape": SHAPE, "objects": objects, "found": detections, **federated}


def entry(category, y=0, score=0.5):
    mask, origin = square(y, 0, 40)
    return {"runs": encode_mask(mask, origin, SHAPE), "category": category, "score": score}


def test_lvis_scores_only_categories_that_were_searched_for():
    images = [image_with([entry("a"), entry("b", 50)], absent=[]), image_with([entry("b")], absent=[])]
    images[1]["objects"][0]["category"] = "b"
    assert average_precision(match_categories(images, ["a", "b"]))["AP"] == pytest.approx(1.0)
    images[0]["absent"] = ["b"]  # b was searched for in the first image and not found: its mask is wrong
    images[0]["found"][1]["score"] = 0.9
    assert average_precision(match_categories(images, ["a", "b"]))["AP"] < 0.8


def test_lvis_ignores_unmatched_masks_of_incomplete_categories():
    detections = [entry("a"), entry("a", 60, 0.9)]
    assert average_precision(match_categories([image_with(detections)], ["a"]))["AP"] < 0.8
    assert average_precision(match_categories([image_with(detections, incomplete=["a"])], ["a"]))[
        "AP"
    ] == pytest.approx(1.0)


def test_frequencies_are_means_over_their_categories():
    images = [image_with([entry("a")])]
    matches = match_categories(images, ["a", "b"])
    assert average_precision(matches, categories={"a"})["AP"] == pytest.approx(1.0)
    assert math.isnan(average_precision(matches, categories={"b"})["AP"])


def test_no_detection_has_a_precision_of_zero():
    assert average_precision(match_categories([image_with([])], ["a"]))["AP"] == 0


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(EvaluationError, match="score nan"):
        match_categories([image_with([entry("a", score=float("nan"))])], ["a"])


def test_images_are_resampled_by_how_often_they_count(rng):
    images = [scene(rng) for _ in range(3)]
    matches = match_categories(images, ["a", "b"])
    twice = average_precision(match_categories([images[0], images[0], images[2]], ["a", "b"]))
    assert average_precision(matches, np.array([2.0, 0.0, 1.0])) == pytest.approx(twice, nan_ok=True)
    assert average_precision(matches) == average_precision(matches, np.ones(3))


def test_masks_in_images_without_objects_lower_the_precision():
    images = [image_with([entry("a")]), {"shape": SHAPE, "objects": [], "found": [entry("a", score=0.9)]}]
    assert average_precision(match_categories(images, ["a"]))["AP"] == pytest.approx(0.5)
