"""A journal without a label store around it."""

from __future__ import annotations

import pytest

from napari_sam.io.labels.journal.journal import Journal


@pytest.fixture
def journal(tmp_path):
    Journal.create(tmp_path / "journal.sqlite", {"shape": [50, 60]})
    opened = Journal(tmp_path / "journal.sqlite", writable=True)
    yield opened
    opened.close()
