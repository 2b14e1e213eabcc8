"""Pictures of predictions."""

from __future__ import annotations

import numpy as np

from src_models.training.loop.pictures import prediction_picture


def test_outlines_and_clicks_have_their_colours():
    image = np.zeros((20, 20, 3), np.uint8)
    truth, predicted = np.zeros((2, 20, 20), bool)
    truth[2:8, 2:8], predicted[11:18, 11:18] = True, True
    picture = prediction_picture(image, truth, predicted, [(14, 4, 1), (4, 14, 0)])
    assert picture[2, 2].tolist() == [255, 220, 0]
    assert picture[5, 5].tolist() == [0, 0, 0]  # inside the outline
    assert picture[11, 11].tolist() == [0, 200, 255]
    assert picture[14, 4].tolist() == [0, 255, 0]
    assert picture[4, 14].tolist() == [255, 0, 0]
    assert not image.any()
