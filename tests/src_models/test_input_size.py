"""The size of a network's input."""

from __future__ import annotations

import pickle

from src_models.input_size import InputSize


def test_it_is_a_number_that_survives_pickling():
    size = pickle.loads(pickle.dumps(InputSize(1024, stretches=True)))
    assert size == 1024
    assert size.stretches
    assert not InputSize(1024).stretches
