"""A script made of the journal makes the same objects again."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from skimage.io import imsave

import napari_sam as ns
from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.propagation.plane_mask import PackedMask, PlaneMask
from napari_sam.engine.propagation.plane_prompts import PlanePrompt
from napari_sam.engine.propagation.propagation import Propagation, StackPosition
from napari_sam.engine.windows import Hints
from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.replay import to_script
from napari_sam.predictor import Predictor
from tests.io.labels.label_stubs import predicted, square


@pytest.fixture
def picture(tmp_path):
    """Bright discs on a dark ground, larger than one window."""
    y, x = np.mgrid[:700, :900]
    image = np.random.default_rng(0).integers(0, 30, (700, 900)).astype(np.uint8)
    for cy, cx, r in ((120, 150, 40), (300, 300, 60), (520, 620, 90), (150, 700, 30)):
        image[(y - cy) ** 2 + (x - cx) ** 2 < r * r] += 150
    imsave(tmp_path / "discs.png", image, check_contrast=False)
    return tmp_path / "discs.png"


def test_running_the_script_gives_the_same_pixels_and_table(picture, tmp_path):
    predictor = Predictor(device="cpu")
    predictor.set_image(picture)
    with LabelStore.create(tmp_path / "a.ome.zarr", like=predictor.image) as labels:
        first = predictor.predict(points=[(120, 150)])
        labels.commit(first, category="disc")
        labels.commit(predictor.predict(box=(235, 235, 365, 365), multimask=False))
        labels.commit(predictor.predict(points=[(520, 620)], hints=Hints(diameter_px=180)), candidate=1)
        lasso = MaskPrompt(np.ones((40, 40), bool), (130, 680, 170, 720))
        labels.commit(predictor.predict(mask=lasso, box=(118, 668, 182, 732)), overlap="replace")
        labels.undo()
        again = predictor.predict(points=[(120, 150), (125, 160)], point_labels=[1, 1], mask=first)
        labels.commit(again, label=1)
        labels.paint(np.full((9, 9), 77), (600, 20))
        labels.merge([2, 77])
        labels.set_category(3, "large")
        script = to_script(labels)
        pixels, table = labels.array[...], labels.table().drop(columns="created")
    (tmp_path / "replay.py").write_text(script)
    out = tmp_path / "b.ome.zarr"
    command = [sys.executable, str(tmp_path / "replay.py"), str(picture), str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with LabelStore.open(out) as replayed:
        same = replayed.array[...]
        assert ((same == pixels) | (same == 0) | (pixels == 0)).all()
        assert (same != pixels).sum() <= 0.002 * (pixels > 0).sum()  # logits are kept in half precision
        columns = ["label", "category", "model"]
        assert replayed.table()[columns].equals(table[columns])


def run_lines(lines, folder, monkeypatch):
    """Run Python lines in a folder, as a notebook would."""
    monkeypatch.chdir(folder)
    exec(compile(lines, "pasted", "exec"), {"__name__": "__main__"})


def test_pasted_lines_of_all_changes_give_the_same_labels(picture, tmp_path, monkeypatch):
    predictor = Predictor(device="cpu")
    predictor.set_image(picture)
    with LabelStore.create(tmp_path / "discs.ome.zarr", like=predictor.image) as labels:
        labels.commit(predictor.predict(points=[(120, 150)]), category="disc")
        labels.commit(predictor.predict(box=(235, 235, 365, 365)))
        labels.erase(1)
        labels.undo()
        ns.segment_everything(picture, predictor, labels, region=(400, 500, 650, 800), diameter_px=180)
        lines, pixels = labels.to_python(), labels.array[...]
        table = labels.table().drop(columns="created")
    assert "sys.argv" not in lines
    assert "Hints" not in lines  # only what is used is imported
    run_lines(lines, tmp_path, monkeypatch)
    with LabelStore.open(tmp_path / "discs-replayed.ome.zarr") as replayed:
        np.testing.assert_array_equal(replayed.array[...], pixels)
        assert replayed.table().drop(columns="created").equals(table)


@pytest.mark.parametrize("kind", ["commit", "paint", "erase", "everything"])
def test_pasted_lines_of_the_last_change_repeat_it_in_its_store(picture, tmp_path, monkeypatch, kind):
    predictor = Predictor(device="cpu")
    predictor.set_image(picture)
    with LabelStore.create(tmp_path / "discs.ome.zarr", like=predictor.image) as labels:
        labels.commit(predictor.predict(points=[(120, 150)]), category="disc")
        change = {
            "commit": lambda: labels.commit(predictor.predict(box=(235, 235, 365, 365))),
            "paint": lambda: labels.paint(np.full((9, 9), 7), (600, 20)),
            "erase": lambda: labels.erase(1),
            "everything": lambda: ns.segment_everything(picture, predictor, labels, diameter_px=100),
        }[kind]
        change()
        lines, pixels, table = labels.to_python(last=True), labels.array[...], labels.table()
        labels.undo()
        assert (labels.array[...] != pixels).any()
    assert "'disc'" not in lines  # nothing of the change before
    run_lines(lines, tmp_path, monkeypatch)
    with LabelStore.open(tmp_path / "discs.ome.zarr") as repeated:
        np.testing.assert_array_equal(repeated.array[...], pixels)
        assert repeated.table()[["label", "category"]].equals(table[["label", "category"]])


def test_an_empty_store_has_no_lines_to_paste(tmp_path):
    with LabelStore.create(tmp_path / "a", shape=(20, 30)) as labels:
        labels.paint(np.ones((2, 2), int), (3, 4))
        labels.undo()
        for last in (False, True):
            with pytest.raises(LabelsError, match="no changes"):
                labels.to_python(last=last)


def test_the_script_names_image_and_changes(tmp_path):
    with LabelStore.create(tmp_path / "a", shape=(20, 30)) as labels:
        labels.paint(np.ones((2, 2), int), (3, 4))
        labels.erase(1)
        script = to_script(labels)
        assert labels.export(tmp_path / "again.py").read_text() == script.replace("replay.py", "again.py")
        with pytest.raises(LabelsError, match="all objects"):
            labels.export(tmp_path / "some.py", labels=[1])
    assert "2 changes" in script
    assert "labels.erase(1)" in script
    compile(script, "replay.py", "exec")


def commit_of(labels, changes):
    """Commit an object and change the record of the commit in the journal."""
    import json

    labels.commit(predicted(square()))
    connection = labels.journal._database.connection
    (text,) = connection.execute("SELECT record FROM ops WHERE id = 1").fetchone()
    connection.execute("UPDATE ops SET record = ? WHERE id = 1", (json.dumps(changes(json.loads(text))),))


EVIL = "x=1)); open('PWNED', 'w'); print((1"


@pytest.mark.parametrize(
    "changes",
    [
        lambda record: record | {"hints": {EVIL: 1}},
        lambda record: record | {"hints": {"diameter_px": EVIL}},
        lambda record: record | {"model": EVIL},
        lambda record: record | {"multimask": EVIL, "refine": {EVIL: 1}},
        lambda record: record | {"prompt": {"points": EVIL, "point_labels": {EVIL: EVIL}}},
        lambda record: record | {"normalisation": {"low": [EVIL], "high": EVIL}},
        lambda record: {},
    ],
)
def test_a_record_never_becomes_code(tmp_path, changes):
    import ast

    with LabelStore.create(tmp_path / "a", shape=(20, 30)) as labels:
        commit_of(labels, changes)
        script = to_script(labels)
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)]
    called = {ast.unparse(call.func) for call in calls}
    assert not called & {"open", "print((1", "eval", "exec"}
    assert all("PWNED" not in ast.unparse(call.func) for call in calls)


@pytest.mark.parametrize("call", [{EVIL: 1}, {"grid": {EVIL: 1}}, {"region": EVIL}, {"side": [EVIL]}])
def test_settings_of_a_run_never_become_code(tmp_path, call):
    import ast

    record = {"call": call, "plane": [], "channels": [0], "model": "m", "normalisation": {"low": [0], "high": [1]}}
    with LabelStore.create(tmp_path / "a", shape=(20, 30)) as labels:
        writer = labels.run_writer("r")
        begin = writer.begin(record, 1)
        writer.write(np.full((2, 3), begin.first_label), (4, 5), tile="f1_y0_x0", begin=begin, details={})
        tree = ast.parse(to_script(labels))
    assert "open" not in {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_a_run_without_its_call_is_drawn(tmp_path):
    with LabelStore.create(tmp_path / "a", shape=(20, 30)) as labels:
        writer = labels.run_writer("r")
        begin = writer.begin({"region": [4, 5, 6, 8]}, 1)
        writer.write(np.full((2, 3), begin.first_label), (4, 5), tile="f1_y0_x0", begin=begin, details={})
        script = labels.export(tmp_path / "again.py")
        pixels = labels.array[...]
    imsave(tmp_path / "black.png", np.zeros((20, 30), np.uint8), check_contrast=False)
    command = [sys.executable, str(script), str(tmp_path / "black.png"), str(tmp_path / "b.ome.zarr")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with LabelStore.open(tmp_path / "b.ome.zarr", "r") as replayed:
        np.testing.assert_array_equal(replayed.array[...], pixels)


def test_the_script_knows_the_settings_of_a_run():
    from dataclasses import fields

    from napari_sam.io.labels.reading.script_values import _SETTINGS
    from napari_sam.jobs.job_settings import EverythingSettings

    assert set(_SETTINGS) == {field.name for field in fields(EverythingSettings)}


def test_the_script_makes_objects_on_several_planes_with_their_lineage(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 30, 40), np.uint8), photometric="minisblack")
    with LabelStore.create(tmp_path / "a.ome.zarr", like=tmp_path / "stack.tif", stack=True) as labels:
        for z0 in (0, 1, 2):
            masks = {z: (square(4), (8 * z0, 2, 8 * z0 + 4, 6)) for z in range(z0, 4)}
            labels.commit_planes(masks, category="cell", parent=z0 or None)
        labels.erase(2, (1,))
        labels.relabel(1, 9, planes=[(2,), (3,)])
        labels.set_parent(9, 1)
        run = labels.run_writer("run")
        begin = run.begin({}, 2)
        for z, label in [(0, 10), (1, 11)]:
            run.write(np.full((3, 3), label), (20, 20), tile=str(z), begin=begin, details={}, plane=(z,))
        run.set_parents({11: 10}, tile="parents", begin=begin)
        script = to_script(labels)
        pixels, table = labels.array[...], labels.table()
    assert_replayed(tmp_path, script, pixels, table)


def assert_replayed(tmp_path, script, pixels, table):
    """Run a script on the stack, and compare the pixels and the objects that it leaves."""
    (tmp_path / "replay.py").write_text(script)
    out = tmp_path / "b.ome.zarr"
    command = [sys.executable, str(tmp_path / "replay.py"), str(tmp_path / "stack.tif"), str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    columns = ["label", "plane", "n_planes", "parent", "category"]
    with LabelStore.open(out) as replayed:
        np.testing.assert_array_equal(replayed.array[...], pixels)
        assert replayed.table()[columns].equals(table[columns])


def followed(planes):
    """Return an object that was followed, as squares (side, y) by plane."""
    position = StackPosition("z", 4, (30, 40), (0,), 0)
    records = {
        z: PackedMask.of(PlaneMask(z, square(side), Box(y, 9, y + side, 9 + side), 0.9))
        for z, (side, y) in planes.items()
    }
    return Propagation(position, {min(planes): PlanePrompt(points=[(10.0, 10.0)], point_labels=[1])}, records)


def test_a_session_over_a_stack_gives_the_same_labels(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 30, 40), np.uint8), photometric="minisblack")
    with LabelStore.create(tmp_path / "a.ome.zarr", like=tmp_path / "stack.tif", stack=True) as labels:
        label = labels.commit_planes(followed({0: (5, 9), 1: (6, 9), 2: (5, 10)}), category="cell")
        child = labels.commit_planes(followed({3: (4, 20)}), parent=label)
        nothing = (np.zeros((1, 1), bool), (0, 0, 1, 1), 0.0)
        labels.commit_planes({1: (square(7), (8, 9, 15, 16), 0.8), 2: nothing}, label=label)  # corrected
        labels.export(tmp_path / "tracks.json")
        labels.erase(child)
        labels.undo()
        labels.erase(label)
        labels.import_(tmp_path / "tracks.json", overlap="replace", category="imported")
        script = to_script(labels)
        pixels, table = labels.array[...], labels.table()
    assert_replayed(tmp_path, script, pixels, table)
    assert table[["n_planes", "category"]].values.tolist() == [[2, "cell"], [1, "imported"]]
    assert table["parent"].tolist()[1] == table["label"][0]


@pytest.mark.parametrize("function", ["segment_volume", "track"])
def test_a_run_over_a_stack_is_repeated_by_its_call(function, tmp_path):
    y, x = np.mgrid[:96, :96]
    planes = [((y - cy) ** 2 + (x - 48) ** 2 < 200).astype(np.uint8) * 200 for cy in (44, 48)]
    axes = "ZYX" if function == "segment_volume" else "TYX"
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.stack(planes), metadata={"axes": axes}, imagej=True)
    report = getattr(ns, function)(stack, output=tmp_path / "a.ome.zarr", diameter_px=28, category="disc")
    with report.labels as labels:
        script, pixels, table = to_script(labels), labels.array[...], labels.table().drop(columns="created")
    assert f"ns.{function}(" in script
    (tmp_path / "replay.py").write_text(script)
    command = [sys.executable, str(tmp_path / "replay.py"), str(stack), str(tmp_path / "b.ome.zarr")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with LabelStore.open(tmp_path / "b.ome.zarr") as replayed:
        np.testing.assert_array_equal(replayed.array[...], pixels)
        assert replayed.table().drop(columns="created").equals(table)
