"""A collection of two data sets."""

from __future__ import annotations

import pytest
import tifffile

from tests.evaluation.datasets.dataset_files import LABELS, RGB


@pytest.fixture
def collection(tmp_path):
    for dataset in ("cells", "fields"):
        folder = tmp_path / dataset / "dev"
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            tifffile.imwrite(folder / f"{name}.image.tif", RGB)
            tifffile.imwrite(folder / f"{name}.labels.tif", LABELS)
    (tmp_path / "INDEX.csv").write_text("dataset,sample,modality\ncells,a,EM\ncells,b,phase\nfields,a,aerial\n")
    return tmp_path
