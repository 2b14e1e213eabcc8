"""SAM 2 through the predictor against outputs of the official image predictor, on an image that is not square."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam import Predictor

PROMPTS = {  # (y, x), as the engine takes them
    "one_point": {"points": [(70, 60)]},
    "three_points": {"points": [(70, 60), (150.25, 200.5), (20, 330)], "point_labels": [1, 0, 1]},
    "box": {"box": (50, 40, 130, 120.5)},
    "box_and_points": {"box": (50, 40, 130, 120.5), "points": [(80, 70), (55, 45)], "point_labels": [1, 0]},
}


@pytest.fixture(scope="module")
def recorded(shared):
    """The recording."""
    return np.load(shared / "reference" / "sam2.1_tiny.npz")


@pytest.fixture(scope="module")
def predictor(recorded, filled_sam2):
    """A predictor with the recorded weights and image."""
    net = filled_sam2("sam2.1_tiny", centre_masks=True)
    predictor = Predictor(net, device="cpu", precision="float32")
    predictor.set_image(recorded["image"])
    return predictor


@pytest.mark.parametrize(("mode", "multimask"), [("multi", True), ("single", False)])
@pytest.mark.parametrize("name", PROMPTS)
def test_predictions_match_the_official_image_predictor(predictor, recorded, name, mode, multimask):
    found = predictor.predict(**PROMPTS[name], multimask=multimask)
    assert found.window.network_shape == (1024, 1024)
    np.testing.assert_allclose(found.predicted_iou, recorded[f"{name}.{mode}.iou"], atol=1e-4)
    want = recorded[f"{name}.{mode}.low_res_logits"].astype(np.float32)
    np.testing.assert_allclose(found.low_res_logits.clip(-32, 32), want, atol=1.5e-2)
    areas = found.masks.sum((1, 2))
    np.testing.assert_allclose(areas, recorded[f"{name}.{mode}.mask_area"], atol=20, rtol=2e-3)
