"""Projects with accepted objects."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import napari_sam as ns
from napari_sam import samples


@pytest.fixture
def project(tmp_path):
    """Four small images of nuclei; three are done."""
    pixels, labels = samples.nuclei(), samples.nuclei_labels().astype(np.int64)
    (tmp_path / "images").mkdir()
    made = ns.Project.create(tmp_path / "project", user="Ada")
    for number in range(4):
        cut = np.s_[:128, 128 * number : 128 * number + 128]
        path = tmp_path / "images" / f"i{number}.png"
        Image.fromarray(pixels[cut]).save(path)
        (image,) = made.add(path).added
        with image.labels() as store:
            store.paint(labels[cut], (0, 0))
        image.state = "done" if number < 3 else "in work"
    return made
