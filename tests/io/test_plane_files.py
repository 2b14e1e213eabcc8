import numpy as np
import pytest

from napari_sam.engine.linking.plane_objects import Links
from napari_sam.engine.linking.stack_tables import stack_tables
from napari_sam.errors import StoreError
from napari_sam.io.plane_files import PlaneFiles

PLANES = [np.array([[1, 1, 0], [0, 2, 2]], np.uint32), np.array([[7, 7, 7], [0, 0, 0]], np.uint32)]


@pytest.fixture
def files(tmp_path):
    made = PlaneFiles(tmp_path / "planes")
    for table, plane in zip(stack_tables(PLANES)[0], PLANES, strict=True):
        made.write(table, [((0, 0), plane)])
    return made


def test_planes_read_back_as_they_were_written(files):
    assert files.planes() == [0, 1]
    for index, plane in enumerate(PLANES):
        assert files.blocks(index) == [(0, 0)]
        np.testing.assert_array_equal(files.block(index, (0, 0)), plane)
        expected = stack_tables(PLANES)[0][index]
        for name in ("labels", "area", "centroid", "boxes", "score"):
            np.testing.assert_array_equal(getattr(files.table(index), name), getattr(expected, name))


def test_overlaps_and_links_read_back_as_they_were_written(files):
    assert files.overlap(0, 1) is None
    assert files.links() is None
    overlap = stack_tables(PLANES)[1][0]
    files.write_overlap(overlap)
    assert files.overlap(0, 1).pixels.tolist() == overlap.pixels.tolist() == [2]
    files.write_links(Links({0: np.array([1, 2]), 1: np.array([1])}, {2: 1}))
    links = files.links()
    assert (links.numbers[0].tolist(), links.numbers[1].tolist(), links.parents) == ([1, 2], [1], {2: 1})


def test_a_plane_that_is_written_again_replaces_the_first(files):
    files.block(0, (0, 0))
    files.write(stack_tables([PLANES[1]])[0][0], [((0, 0), PLANES[1])])
    np.testing.assert_array_equal(files.block(0, (0, 0)), PLANES[1])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"x" * 500])
def test_a_damaged_file_is_named_with_the_remedy(files, content):
    (files.folder / "p000001.npz").write_bytes(content)
    for read in (files.table, files.blocks):
        with pytest.raises(StoreError, match=r"p000001\.npz: damaged.*delete this file, then continue"):
            read(1)


def test_a_folder_that_does_not_exist_has_no_planes(tmp_path):
    assert PlaneFiles(tmp_path / "none").planes() == []
