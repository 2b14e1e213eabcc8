import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.engine.linking.stack_tables import stack_tables
from napari_sam.io.plane_files import BLOCK_PX, PlaneFiles
from napari_sam.jobs.stacks.plane_canvas import PlaneCanvas

SHAPE = (BLOCK_PX + 40, BLOCK_PX + 60)


@pytest.fixture
def files(tmp_path):
    """One plane of two blocks by two, with an object across all four."""
    plane = np.zeros(SHAPE, np.uint32)
    plane[BLOCK_PX - 10 : BLOCK_PX + 10, BLOCK_PX - 20 : BLOCK_PX + 20] = 5
    plane[0:4, 0:4] = 9
    made = PlaneFiles(tmp_path / "planes")
    corners = [(r, c) for r in (0, 1) for c in (0, 1)]
    size = BLOCK_PX
    blocks = [((r, c), plane[r * size : (r + 1) * size, c * size : (c + 1) * size]) for r, c in corners]
    made.write(stack_tables([plane])[0][0], blocks)
    return made


def test_the_mask_of_an_object_across_blocks_is_whole(files):
    mask, box = PlaneCanvas(files, 0, SHAPE).mask(0)
    assert box == Box(BLOCK_PX - 10, BLOCK_PX - 20, BLOCK_PX + 10, BLOCK_PX + 20)
    assert mask.all()


def test_an_object_is_added_where_the_plane_is_free(files):
    canvas = PlaneCanvas(files, 0, SHAPE)
    box = Box(BLOCK_PX - 5, BLOCK_PX + 15, BLOCK_PX + 15, BLOCK_PX + 55)
    assert canvas.add(np.ones(box.shape, bool), box, 0.7)
    canvas.save()
    table = files.table(0)
    assert table.labels.tolist() == [5, 9, 10]
    assert table.area.tolist() == [800, 16, 20 * 40 - 15 * 5]
    assert table.score.tolist() == pytest.approx([1, 1, 0.7])
    assert table.boxes[2].tolist() == list(box)


def test_an_object_that_others_cover_is_not_added(files):
    canvas = PlaneCanvas(files, 0, SHAPE)
    assert not canvas.add(np.ones((20, 20), bool), Box(BLOCK_PX - 5, BLOCK_PX, BLOCK_PX + 15, BLOCK_PX + 20), 0.7)
    assert canvas.added == 0


def test_of_two_objects_in_the_same_place_the_first_is_added(files):
    canvas = PlaneCanvas(files, 0, SHAPE)
    box = Box(100, 100, 120, 120)
    assert [canvas.add(np.ones((20, 20), bool), box, score) for score in (0.9, 0.8)] == [True, False]
