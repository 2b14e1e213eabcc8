"""Average precision and recall against pycocotools used plainly; LVIS's rules by hand."""

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
    """Squares of all sizes, and shifted copies with scores."""
    objects, found = [], []
    for _ in range(count):
        side = int(rng.integers(6, 118))
        y, x = int(rng.integers(0, SHAPE[0] - side)), int(rng.integers(0, SHAPE[1] - side))
        category = str(rng.choice(["a", "b"]))
        mask, at = square(y, x, side)
        objects.append(
            {"runs": encode_mask(mask, at, SHAPE), "area": side * side, "category": category, "crowd": False}
        )
        shift = int(rng.integers(0, 1 + side // 4))
        mask, at = square(min(y + shift, SHAPE[0] - side), x, side)
        found.append({"runs": encode_mask(mask, at, SHAPE), "category": category, "score": float(rng.random())})
    return {"shape": SHAPE, "objects": objects, "found": found}


def plain(images, use_categories, most):
    """COCO's evaluation as its documentation runs it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids = {"a": 1, "b": 2}
    truth, found = [], []
    for at, image in enumerate(images, start=1):
        for one in image["objects"]:
            entry = {"image_id": at, "category_id": ids[one["category"]], "segmentation": one["runs"], "iscrowd": 0}
            truth.append({**entry, "id": len(truth) + 1, "area": one["area"], "bbox": [0, 0, 1, 1]})
        for one in image["found"]:
            entry = {"image_id": at, "category_id": ids[one["category"]], "segmentation": one["runs"]}
            found.append({**entry, "score": one["score"]})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1, "height": SHAPE[0], "width": SHAPE[1]} for i in range(len(images))],
            "annotations": truth,
            "categories": [{"id": i, "name": n} for n, i in ids.items()],
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(found), "segm")
        run.params.useCats, run.params.maxDets = use_categories, [1, 10, most]
        run.evaluate()
        run.accumulate()
    return run.eval


def test_average_precision_is_that_of_pycocotools(rng):
    images = [scene(rng) for _ in range(4)]
    ours = average_precision(match_categories(images, ["a", "b"]))
    precision = plain(images, 1, 100)["precision"][..., -1]
    for name, area in (("AP", 0), ("AP small", 1), ("AP medium", 2), ("AP large", 3)):
        values = precision[..., area]
        assert ours[name] == pytest.approx(values[values > -1].mean(), abs=1e-6)
    assert ours["AP50"] == pytest.approx(precision[0, ..., 0].mean(), abs=1e-6)
    assert ours["AP75"] == pytest.approx(precision[5, ..., 0].mean(), abs=1e-6)


def test_the_mean_of_hits_is_the_average_recall_of_pycocotools(rng):
    images = [scene(rng, 12) for _ in range(3)]
    hits, own = [], {"small": [], "medium": [], "large": []}
    from pycocotools import mask as tools

    for image in images:
        objects, masks = [], []
        for i, one in enumerate(image["objects"], start=1):
            full = tools.decode({**one["runs"], "counts": one["runs"]["counts"].encode()}).astype(bool)
            y, x = (int(v[0]) for v in np.nonzero(full))
            side = math.isqrt(one["area"])
            objects.append(TrueObject(i, full[y : y + side, x : x + side], (y, x)))
        for one in image["found"]:
            full = tools.decode({**one["runs"], "counts": one["runs"]["counts"].encode()}).astype(bool)
            masks.append((full, (0, 0), one["score"]))
        found = object_recalls(GroundTruth(SHAPE, tuple(objects)), masks, 1000)
        hits += [found[o.label][0] for o in objects]
        for o in objects:
            own[size_category(o.area_px)].append(found[o.label][1])
    recall = plain(images, 0, 1000)["recall"][..., -1]
    assert np.mean(hits) == pytest.approx(recall[:, 0, 0].mean(), abs=1e-6)
    for k, name in enumerate(own, start=1):
        assert np.mean(own[name]) == pytest.approx(recall[:, 0, k].mean(), abs=1e-6)


def test_hits_by_hand():
    labels = np.zeros((20, 20), int)
    labels[0:10, 0:10], labels[10:20, 10:20] = 1, 2
    masks = [(np.ones((10, 8), bool), (0, 0), 0.9)]  # IoU 0.8 with the first object: 0.50 to 0.80 are seven of ten
    found = object_recalls(truth_from_labels(labels), masks, 1000)
    assert found == {1: (pytest.approx(0.7), pytest.approx(0.7)), 2: (0.0, 0.0)}


def test_only_the_best_masks_count():
    labels = np.zeros((20, 20), int)
    labels[0:10, 0:10] = 1
    masks = [(np.ones((10, 10), bool), (0, 0), 0.1), (np.ones((5, 5), bool), (12, 12), 0.9)]
    assert object_recalls(truth_from_labels(labels), masks, 1)[1][0] == 0
    assert object_recalls(truth_from_labels(labels), masks, 2)[1][0] == 1


def image_with(found, **federated):
    mask, at = square(0, 0, 40)
    objects = [{"runs": encode_mask(mask, at, SHAPE), "area": 1600, "category": "a", "crowd": False}]
    return {"shape": SHAPE, "objects": objects, "found": found, **federated}


def entry(category, y=0, score=0.5):
    mask, at = square(y, 0, 40)
    return {"runs": encode_mask(mask, at, SHAPE), "category": category, "score": score}


def test_lvis_judges_only_categories_that_were_looked_for():
    images = [image_with([entry("a"), entry("b", 50)], absent=[]), image_with([entry("b")], absent=[])]
    images[1]["objects"][0]["category"] = "b"
    assert average_precision(match_categories(images, ["a", "b"]))["AP"] == pytest.approx(1.0)
    images[0]["absent"] = ["b"]  # now there was no b in the first image, and the mask there is wrong
    images[0]["found"][1]["score"] = 0.9
    assert average_precision(match_categories(images, ["a", "b"]))["AP"] < 0.8


def test_lvis_forgives_masks_of_categories_that_are_not_fully_marked():
    found = [entry("a"), entry("a", 60, 0.9)]
    assert average_precision(match_categories([image_with(found)], ["a"]))["AP"] < 0.8
    assert average_precision(match_categories([image_with(found, incomplete=["a"])], ["a"]))["AP"] == pytest.approx(1.0)


def test_frequencies_are_means_over_their_categories():
    images = [image_with([entry("a")])]
    judged = match_categories(images, ["a", "b"])
    assert average_precision(judged, categories={"a"})["AP"] == pytest.approx(1.0)
    assert math.isnan(average_precision(judged, categories={"b"})["AP"])


def test_no_detection_is_a_precision_of_zero():
    assert average_precision(match_categories([image_with([])], ["a"]))["AP"] == 0


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(EvaluationError, match="score nan"):
        match_categories([image_with([entry("a", score=float("nan"))])], ["a"])


def test_images_are_resampled_by_how_often_they_count(rng):
    images = [scene(rng) for _ in range(3)]
    judged = match_categories(images, ["a", "b"])
    twice = average_precision(match_categories([images[0], images[0], images[2]], ["a", "b"]))
    assert average_precision(judged, np.array([2.0, 0.0, 1.0])) == pytest.approx(twice, nan_ok=True)
    assert average_precision(judged) == average_precision(judged, np.ones(3))


def test_masks_in_images_without_objects_count_against():
    images = [image_with([entry("a")]), {"shape": SHAPE, "objects": [], "found": [entry("a", score=0.9)]}]
    assert average_precision(match_categories(images, ["a"]))["AP"] == pytest.approx(0.5)
