"""Following objects after an interruption gives what it gives without one, by memory and by prompts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam import Predictor, open_image
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from napari_sam.errors import PromptError, StoreError
from napari_sam.io.propagation_folder import PropagationFolder
from tests.src_models.small_sam2 import small_sam2_network

LENIENT = PropagationSettings(least_score=0.0, gap=99, least_overlap=0.0, most_growth=1e6, least_similarity=0.0)
PROMPTS = [{"points": [(2, 20, 30)]}, {"box": (5, 10, 40, 50, 90)}]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def net():
    """A network of 128 x 128 pixels with random weights."""
    return small_sam2_network()


@pytest.fixture(scope="module")
def movie():
    """Twelve frames of a moving texture, (12, 60, 110, 3)."""
    image = np.random.default_rng(4).integers(0, 256, (60, 110, 3), dtype=np.uint8)
    return np.stack([np.roll(image, (2 * t, 3 * t), (0, 1)) for t in range(12)])


class CountingFolder(PropagationFolder):
    """Keeps the state before every step, and counts the steps that were computed."""

    def __init__(self, folder):
        super().__init__(folder, interval_s=0.0)
        self.computed = 0

    def write_step(self, number, step):
        super().write_step(number, step)
        self.computed += 1


@pytest.fixture
def follow(net, movie):
    """A function that follows two objects in a new predictor, as a new process would."""

    def run(**options):
        predictor = Predictor(net, device="cpu", precision="float32")
        predictor.set_image(open_image(movie, axes="tyxc"))
        return predictor.propagate_many(PROMPTS, settings=LENIENT, **options)

    return run


def kill_after(count):
    """Return a callback that ends the process after some masks."""
    seen = iter(range(count))

    def on_plane(mask):
        if next(seen, None) is None:
            raise Killed

    return on_plane


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.planes == b.planes
        assert a.scores == b.scores
        assert a.stopped == b.stopped
        for plane in a.planes:
            assert a.mask(plane)[1] == b.mask(plane)[1]
            np.testing.assert_array_equal(a.mask(plane)[0], b.mask(plane)[0])


@pytest.mark.parametrize("carry", ["memory", "prompt"])
@pytest.mark.parametrize("count", [1, 9, 19])
def test_a_killed_propagation_continues_with_the_same_result(follow, tmp_path, carry, count):
    uninterrupted, first, second = (CountingFolder(tmp_path / name) for name in ("whole", "progress", "progress"))
    whole = follow(carry=carry, resume_folder=uninterrupted)
    with pytest.raises(Killed):
        follow(carry=carry, resume_folder=first, on_plane=kill_after(count))
    assert_same(follow(carry=carry, resume_folder=second), whole)
    assert second.computed == uninterrupted.computed - first.computed + 1  # the last step is computed again
    assert not (tmp_path / "progress").exists()


def test_another_request_is_refused_and_leaves_the_record(follow, tmp_path):
    folder = CountingFolder(tmp_path / "progress")
    with pytest.raises(Killed):
        follow(resume_folder=folder, on_plane=kill_after(5))
    with pytest.raises(StoreError, match=r"holds an unfinished propagation with carry 'auto', but carry is 'prompt'"):
        follow(resume_folder=folder, carry="prompt")
    assert (tmp_path / "progress" / "state.npz").is_file()


def test_a_folder_with_other_files_is_refused(follow, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="exists and is no record of a propagation; give a new folder"):
        follow(resume_folder=tmp_path)


def test_a_damaged_state_is_named(follow, tmp_path):
    folder = CountingFolder(tmp_path / "progress")
    with pytest.raises(Killed):
        follow(resume_folder=folder, on_plane=kill_after(5))
    (tmp_path / "progress" / "state.npz").write_bytes(b"cut short")
    with pytest.raises(StoreError, match=r"state\.npz is damaged.*delete the folder to start anew"):
        follow(resume_folder=str(tmp_path / "progress"))


def test_a_prompt_that_selects_nothing_leaves_no_record(movie, tmp_path):
    predictor = Predictor(small_sam2_network(score=-60.0), device="cpu", precision="float32")
    predictor.set_image(open_image(movie, axes="tyxc"))
    with pytest.raises(PromptError, match="selects nothing"):
        predictor.propagate(points=[(2, 20, 30)], resume_folder=tmp_path / "progress")
    assert not (tmp_path / "progress").exists()
