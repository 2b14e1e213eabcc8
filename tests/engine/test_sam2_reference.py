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


@pytest.fixture(scope="module", params=["tiny", "small", "base_plus", "large"])
def recorded(request, shared):
    """The recording of a network, and its size."""
    return request.param, np.load(shared / "reference" / f"sam2.1_{request.param}.npz")


@pytest.fixture(scope="module")
def predictor(recorded, filled_sam2):
    """A predictor with the recorded weights and image."""
    size, arrays = recorded
    predictor = Predictor(filled_sam2(f"sam2.1_{size}", centre_masks=True), device="cpu", precision="float32")
    predictor.set_image(arrays["image"])
    return predictor


@pytest.mark.timeout(600)  # the largest network encodes its image once
@pytest.mark.parametrize(("mode", "multimask"), [("multi", True), ("single", False)])
@pytest.mark.parametrize("name", PROMPTS)
def test_predictions_match_the_official_image_predictor(predictor, recorded, name, mode, multimask):
    arrays = recorded[1]
    stride = int(arrays["stride"]) if "stride" in arrays else 1
    found = predictor.predict(**PROMPTS[name], multimask=multimask)
    assert found.window.network_shape == (1024, 1024)
    np.testing.assert_allclose(found.predicted_iou, arrays[f"{name}.{mode}.iou"], atol=1e-4)
    want = arrays[f"{name}.{mode}.low_res_logits"].astype(np.float32)
    np.testing.assert_allclose(found.low_res_logits.clip(-32, 32)[:, ::stride, ::stride], want, atol=1.5e-2)
    areas = found.masks.sum((1, 2))
    np.testing.assert_allclose(areas, arrays[f"{name}.{mode}.mask_area"], atol=20, rtol=2e-3)
