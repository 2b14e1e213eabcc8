"""An image to prompt."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.io.images.open_image import open_image
from tests.io.prompts.prompt_sources import SHAPE


@pytest.fixture
def image():
    return open_image(np.zeros(SHAPE, np.uint8))
