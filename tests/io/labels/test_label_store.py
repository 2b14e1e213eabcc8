"""Objects of a label store: what each change does to pixels and table."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square


def test_commit_writes_pixels_table_and_pyramid(labels):
    assert labels.commit(predicted(square(400), (100, 200)), category="cell") == 1
    assert labels.array[100, 200] == 1
    assert labels.array[99, 200] == 0
    row = labels.table().iloc[0]
    assert (row.area_px, row.y0, row.x0, row.y1, row.x1) == (160_000, 100, 200, 500, 600)
    assert (row.category, row.model) == ("cell", "default")
    assert row.predicted_iou == pytest.approx(0.9)
    for k, level in enumerate(labels.levels):
        expected = np.zeros(labels.shape, np.uint32)
        expected[100:500, 200:600] = 1
        np.testing.assert_array_equal(level[...], expected[:: 2**k, :: 2**k])


def test_keep_leaves_other_objects_their_pixels(labels):
    labels.commit(predicted(square(), (0, 0)))
    labels.commit(predicted(square(), (5, 5)), overlap="keep")
    assert labels.table().area_px.tolist() == [100, 75]


def test_replace_takes_pixels_and_shrinks_the_other_objects_row(labels):
    labels.commit(predicted(square(), (0, 0)))
    labels.commit(predicted(np.ones((5, 10), bool), (0, 0)), overlap="replace")
    table = labels.table().set_index("label")
    assert table.area_px.tolist() == [50, 50]
    assert table.loc[1, ["y0", "x0", "y1", "x1"]].tolist() == [5, 0, 10, 10]


def test_an_object_wholly_replaced_leaves_the_table_until_undo(labels):
    labels.commit(predicted(square(), (0, 0)))
    labels.commit(predicted(square(), (0, 0)), overlap="replace")
    assert labels.table().label.tolist() == [2]
    labels.undo()
    assert labels.table().label.tolist() == [1]
    assert labels.table().area_px.tolist() == [100]


def test_erase_clears_the_pixels_under_the_mask(labels):
    labels.commit(predicted(square(), (0, 0)))
    assert labels.commit(predicted(square(5), (0, 0)), overlap="erase") == 0
    assert labels.table().area_px.tolist() == [75]
    with pytest.raises(LabelsError, match="no object under the mask"):
        labels.commit(predicted(square(5), (500, 500)), overlap="erase")


def test_an_existing_object_gets_the_new_mask_instead_of_its_own(labels):
    labels.commit(predicted(square(), (0, 0)), category="cell")
    assert labels.commit(predicted(square(4), (100, 100)), label=1) == 1
    row = labels.object(1)
    assert (row["area_px"], row["y0"], row["x1"]) == (16, 100, 104)
    assert labels.array[0, 0] == 0


def test_pixels_outside_the_image_are_cut_off(labels):
    labels.commit(predicted(square(), (2995, 2495)))
    assert labels.object(1)["area_px"] == 25


def test_a_mask_under_other_objects_is_refused_and_nothing_changes(labels):
    labels.commit(predicted(square(), (0, 0)))
    with pytest.raises(LabelsError, match="wholly under other objects"):
        labels.commit(predicted(square(3), (2, 2)))
    assert len(labels) == 1
    assert labels.next_label == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overlap": "blend"}, "overlap 'blend'"),
        ({"label": 0}, "label 0"),
        ({"label": 2**32}, "label 4294967296"),
        ({"candidate": 1}, "candidate 1"),
        ({"plane": (3,)}, "plane"),
    ],
)
def test_invalid_arguments_are_refused_by_name(labels, arguments, message):
    with pytest.raises(LabelsError, match=message):
        labels.commit(predicted(square()), **arguments)


def test_merge_keeps_one_id_and_all_pixels(labels):
    for y in (0, 20, 40):
        labels.commit(predicted(square(), (y, 0)))
    assert labels.merge([3, 1]) == 1
    table = labels.table().set_index("label")
    assert table.index.tolist() == [1, 2]
    assert table.loc[1, ["area_px", "y0", "y1"]].tolist() == [200, 0, 50]
    with pytest.raises(LabelsError, match="two ids or more"):
        labels.merge([1])
    with pytest.raises(LabelsError, match="no object 9"):
        labels.merge([1, 9])


def test_relabel_moves_pixels_and_row_and_refuses_a_taken_id(labels):
    labels.commit(predicted(square()), category="cell")
    labels.commit(predicted(square(), (50, 50)))
    labels.relabel(1, 700)
    assert labels.array[0, 0] == 700
    assert labels.object(700)["category"] == "cell"
    assert labels.next_label == 701
    with pytest.raises(LabelsError, match="object 2 exists"):
        labels.relabel(700, 2)


def test_paint_makes_new_ids_objects_and_counts_changes(labels):
    assert labels.paint(np.array([[0, 7], [7, 7]]), (10, 10)) == 3
    assert labels.object(7)["area_px"] == 3
    assert labels.paint(np.array([[0, 7], [7, 7]]), (10, 10)) == 0
    assert len(labels.history()) == 1
    with pytest.raises(LabelsError, match="outside the image"):
        labels.paint(np.ones((4, 4), int), (2998, 0))
    with pytest.raises(LabelsError, match="whole numbers"):
        labels.paint(np.ones((4, 4)), (0, 0))


def test_planes_are_separate(tmp_path):
    with LabelStore.create(tmp_path / "z.zarr", shape=(3, 50, 60)) as labels:
        labels.commit(predicted(square()), plane=(2,))
        assert int(labels.array[...].sum()) == 100
        assert labels.array[2, 0, 0] == 1
        assert labels.table().plane.tolist() == ["2"]
        mask, box = labels.mask(1)
        assert mask.all()
        assert box == (0, 0, 10, 10)


def test_the_record_keeps_prompt_model_window_and_scores(labels):
    labels.commit(predicted(square()))
    record = labels.history().record[0]
    assert record["prompt"] == {"points": [[1.0, 2.0]], "point_labels": [1]}
    assert (record["model"], record["window"], record["label"]) == ("default", [0, 0, 64, 64], 1)


def test_an_object_of_another_plane_gets_pixels_and_is_erased_on_both(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3, 60, 60)) as labels:
        labels.paint(np.ones((5, 5), int), (0, 0), plane=(0,))
        labels.paint(np.ones((5, 5), int), (50, 50), plane=(2,))
        assert labels.table()[["area_px", "n_planes"]].values.tolist() == [[50, 2]]
        labels.erase(1)
        assert not labels.array[...].any()


def test_a_known_label_that_would_vanish_is_refused_and_keeps_its_category(labels):
    labels.commit(predicted(square(), (0, 0)), category="cell")
    labels.commit(predicted(square(), (50, 50)))
    with pytest.raises(LabelsError, match="wholly under other objects"):
        labels.commit(predicted(square(4), (52, 52)), label=1)
    labels.commit(predicted(square(4), (100, 100)), label=1)
    assert labels.object(1)["category"] == "cell"


def test_the_largest_id_leaves_room_for_the_next_object(labels):
    labels.paint(np.full((2, 2), 2**32 - 1, np.uint32), (0, 0))
    assert labels.commit(predicted(square(), (50, 50))) == 1
    assert labels.commit(predicted(square(), (70, 70))) == 2


def test_numpy_numbers_are_kept_in_the_journal(labels):
    labels.commit(predicted(square()))
    labels.commit(predicted(square(), (50, 50)))
    assert labels.merge(labels.table().label, into=labels.table().label[1]) == 2


def test_a_prediction_of_another_image_is_refused(labels):
    from dataclasses import replace

    from napari_sam.engine.interactive.prediction import PredictionContext

    other = replace(predicted(square()), context=PredictionContext(image_shape=(512, 512)))
    with pytest.raises(LabelsError, match=r"image of shape \(512, 512\)"):
        labels.commit(other)
    with pytest.raises(LabelsError, match="str is not a Prediction"):
        labels.commit("x")


def test_a_dot_in_a_large_object_leaves_its_box_and_an_edge_moves_it(labels):
    labels.commit(predicted(np.ones((2000, 1500), bool), (100, 200)))
    labels.paint(np.zeros((10, 10), int), (900, 900))
    row = labels.object(1)
    assert (row["area_px"], row["y0"], row["x0"], row["y1"], row["x1"]) == (2_999_900, 100, 200, 2100, 1700)
    labels.paint(np.zeros((600, 1500), int), (100, 200))
    assert labels.object(1)["y0"] == 700
