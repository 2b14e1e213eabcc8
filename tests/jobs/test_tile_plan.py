import numpy as np
import pytest

from napari_sam.engine.automatic.grid_finder import GridFinder
from napari_sam.engine.geometry import Box
from napari_sam.errors import PromptError
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.tile_plan import FinderSpec, choose_branches, choose_factors, choose_method, choose_side, plan_run
from tests.engine.tiny import tiny_predictor


class SizesOnly:
    """The sizes of network and image, without either."""

    img_size = 512

    class image:
        shape = (9000, 9000)


@pytest.mark.parametrize(
    ("settings", "side"),
    [
        ({"method": "dense"}, None),
        ({"method": "grid"}, 512),
        ({"method": "dense", "diameter_px": 80}, 512),
        ({"method": "dense", "diameter_px": 320}, 2048),
        ({"method": "grid", "diameter_px": 32}, 512),
        ({"method": "dense", "level": 3}, 4096),
        ({"method": "dense", "side": 300}, 300),
    ],
)
def test_the_side_of_windows_follows_from_diameter_level_or_side(settings, side):
    assert choose_side(EverythingSettings(**settings), SizesOnly) == side


def test_coarser_factors_are_added_until_a_window_covers_the_image():
    assert choose_factors((512, 512), 512, 1, coarser=True) == (1,)
    assert choose_factors((513, 20), 512, 1, coarser=True) == (1, 4)
    assert choose_factors((6000, 20), 512, 2, coarser=False) == (2,)


class DenseOrNot:
    """A predictor with or without a dense decoder."""

    model = "tiny"

    def __init__(self, can_dense):
        self.can_dense = can_dense


def test_auto_is_dense_only_with_a_dense_decoder():
    assert choose_method("auto", DenseOrNot(True)) == "dense"
    assert choose_method("auto", DenseOrNot(False)) == "grid"
    with pytest.raises(PromptError, match="no dense decoder") as raised:
        choose_method("dense", DenseOrNot(False))
    assert raised.value.parameter == "method"


def test_a_plan_has_the_tiles_of_all_factors_finest_first():
    plan = plan_run(FinderSpec("grid", 64), Box(0, 0, 100, 100), (300, 300), (1, 4))
    assert plan.factors == [1, 4]
    assert [tile.factor for _, tile in plan.tiles()] == [1] * len(plan.grids[0].tiles) + [4] * len(plan.grids[1].tiles)


def test_a_finder_is_built_from_plain_values():
    predictor = tiny_predictor()
    predictor.set_image(np.zeros((50, 60), np.uint8))
    finder = FinderSpec("grid", 64, {"points_per_side": 4}).build(predictor)
    assert isinstance(finder, GridFinder)
    assert (finder.side, finder.settings()["points_per_side"]) == (64, 4)


@pytest.mark.parametrize(
    ("branches", "method", "hypotheses", "wanted"),
    [
        ("auto", "dense", True, "both"),
        ("auto", "dense", False, "dense"),
        ("both", "dense", False, "both"),
        ("dense", "dense", True, "dense"),
        ("both", "grid", True, "dense"),
    ],
)
def test_branches_follow_model_and_method(branches, method, hypotheses, wanted):
    predictor = tiny_predictor()
    predictor.embedder.model.uses_hypotheses = hypotheses
    assert choose_branches(branches, method, predictor) == wanted
