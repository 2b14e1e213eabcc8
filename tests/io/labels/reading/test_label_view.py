"""A label store shows itself in a notebook and in a plot."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.engine.showing.pictures import label_colours
from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading import label_view
from tests.engine.showing.test_html import pictures_in


@pytest.fixture
def store(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(200, 400), scale=(0.5, 0.5)) as made:
        made.paint(np.full((50, 100), 3), (0, 0))
        made.paint(np.full((50, 100), 8), (100, 300))
        made.set_category(3, "cell <1>")
        yield made


@pytest.fixture
def axes():
    from matplotlib import pyplot

    yield pyplot.subplots()[1]
    pyplot.close("all")


def test_objects_are_shown_in_their_colours_and_places(store):
    html = store._repr_html_()
    for text in ("200 x 400 px (yx)", "cell &lt;1&gt;", "cells.ome.zarr", ">2<"):
        assert text in html
    (picture,) = pictures_in(html)
    assert picture.shape == (128, 256, 3)
    assert picture[10, 10].tolist() == label_colours(np.array(3)).tolist()
    assert picture[80, 200].tolist() == label_colours(np.array(8)).tolist()
    assert picture[10, 200].tolist() == [0, 0, 0]


def test_the_image_that_the_store_names_lies_below(tmp_path):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, np.full((200, 400), 240, np.uint8))
    with LabelStore.create(tmp_path / "cells.ome.zarr", like=path) as store:
        store.paint(np.full((50, 100), 3), (0, 0))
        (picture,) = pictures_in(store._repr_html_())
        assert picture[100, 200].tolist() == [240, 240, 240]
        path.unlink()
        (picture,) = pictures_in(store._repr_html_())
        assert picture[100, 200].tolist() == [0, 0, 0]


def test_a_closed_store_says_so(tmp_path):
    store = LabelStore.create(tmp_path / "s.ome.zarr", shape=(40, 40))
    store.close()
    assert "closed" in store._repr_html_()


def test_the_middle_plane_of_a_stack_is_shown_and_any_other_can_be_plotted(tmp_path, axes):
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(5, 40, 60)) as store:
        store.paint(np.full((40, 60), 4), (0, 0), plane=(1,))
        html = store._repr_html_()
        assert "(2,)" in html
        assert not pictures_in(html)[0].any()
        store.plot(axes, plane=(1,))
        assert np.asarray(axes.images[0].get_array()).any()
        assert "plane (1,)" in axes.get_title()


def test_a_region_is_plotted_from_a_level_that_suffices(store, axes):
    store.plot(axes, region=(100, 300, 150, 500))
    assert axes.get_xlim() == (300 - 0.5, 400 - 0.5)
    assert axes.get_ylim() == (150 - 0.5, 100 - 0.5)
    picture = np.asarray(axes.images[0].get_array())
    assert (picture == label_colours(np.array(8))).all()


def test_a_region_outside_and_an_image_of_another_shape_are_refused(store):
    with pytest.raises(LabelsError, match="lies outside"):
        store.plot(region=(500, 0, 600, 10))
    with pytest.raises(LabelsError, match="image is of 10 x 10"):
        store.plot(image=np.zeros((10, 10), np.uint8))


def test_of_a_store_too_large_without_coarse_levels_the_middle_is_shown(store, monkeypatch):
    monkeypatch.setattr(label_view, "_MOST_READ_PX", 100)
    view = label_view.LabelView(store)
    assert view.region == (50, 150, 150, 250)
    assert "part shown" in store._repr_html_()
