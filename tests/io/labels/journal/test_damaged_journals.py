"""Journals with wrong values and flipped bytes: every one is read, or refused in one line."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import warnings
import zlib

import numpy as np
import pytest

from napari_sam.errors import NapariSamError, StoreError
from napari_sam.io.labels.journal.prediction_records import unpack_logits
from napari_sam.io.labels.journal.run_length import decode_labels, decode_mask
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.review_queue import ReviewQueue
from tests.io.labels.label_stubs import predicted, square

SEEDS = int(os.environ.get("NAPARI_SAM_FUZZ_SEEDS", "40"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store with a change of each kind."""
    path = tmp_path_factory.mktemp("sound") / "s"
    with LabelStore.create(path, shape=(2, 60, 50)) as labels:
        labels.commit(predicted(square()), plane=(0,), category="cell")
        labels.commit_many([predicted(square(5), (20, 20)), predicted(square(5), (30, 30))], plane=(1,))
        labels.paint(np.full((4, 9), 7), (50, 0), plane=(1,))
        labels.merge([2, 3])
        labels.relabel(7, 9)
        labels.set_category(9, "dot")
        labels.review(9)
        run = labels.run_writer("r", plane=(0,))
        begin = run.begin({"call": {}}, 2)
        run.write(np.full((5, 5), begin.first_label), (40, 0), tile="t", begin=begin, details={})
        labels.commit_planes({z: (square(4), (0, 40, 4, 44), 0.5) for z in (0, 1)}, parent=9)
        labels.commit(predicted(square(3), (30, 0)), plane=(0,))
        labels.undo()
    return path


def use(store, folder):
    """Do everything with a store that reads its journal; errors must be those for users, of one line."""

    def attempt(action):
        try:
            return action()
        except NapariSamError as error:
            message = str(error)
        assert "\n" not in message
        assert len(message) < 2000
        return None

    for opened in (
        lambda: LabelStore.open(store, "r"),
        lambda: LabelStore.open(store),
        lambda: LabelStore.repair(store),
    ):
        labels = attempt(opened)
        if labels is None:
            continue
        with labels:
            for action in (
                labels.table,
                labels.history,
                lambda: [labels.mask(label) for label in labels.table().label],  # noqa: B023
                lambda: (labels.scale, len(labels), repr(labels), labels.next_label, labels.can_undo),  # noqa: B023
                labels.measure,
                labels.reviewed,
                lambda: (ReviewQueue(labels).following(), ReviewQueue(labels).counts()),  # noqa: B023
                lambda: labels.run_writer("r", plane=(0,)).begun(),  # noqa: B023
                lambda: labels.run_writer("r", plane=(0,)).written_tiles(),  # noqa: B023
                *(
                    lambda ending=ending: labels.export(folder / f"out{ending}")  # noqa: B023
                    for ending in (".csv", ".geojson", ".py")
                ),
            ):
                attempt(action)
            if labels.writable:
                for action in (labels.undo, labels.redo, labels.undo, lambda: labels.erase(1)):  # noqa: B023
                    attempt(action)
                attempt(lambda: labels.commit(predicted(square(3), (5, 30)), plane=(0,)))  # noqa: B023


def changed(sound, tmp_path, statement, values=()):
    """Return a copy of the store after an SQL statement."""
    store = tmp_path / "s"
    shutil.copytree(sound, store)
    connection = sqlite3.connect(store / "journal.sqlite")
    connection.execute(statement, values)
    connection.commit()
    connection.close()
    return store


DEEP = "[" * 200_000
BOMB = np.array([60000, 60000, 1], "<u4").tobytes() + zlib.compress(np.array([3_600_000_000, 1], "<u4").tobytes())
LONG = np.array([10, 10, 1], "<u4").tobytes() + zlib.compress(b"\0" * 50_000_000)
VALUES = {
    "meta": {
        "value": [
            "",
            "{",
            "null",
            '"x"',
            "[]",
            "[1e999, 1]",
            "-1",
            "99999999999999999999999",
            DEEP,
            '{"a": 1}',
            b"\xff\xfe",
        ],
    },
    "ops": {
        "state": ["", None, 3, b"\xff"],
        "kind": ["", "everything", "commits", b"\xff"],
        "time": ["x", b"\x00", float("inf")],
        "next_before": ["x", -1, 1 << 62, b"\x00"],
        "next_after": ["x", -1, 1 << 62],
        "run_id": ["", 3, b"\xff"],
        "record": ["{}", "[]", "3", '"x"', '{"run": [1], "tile": {}, "first_label": "x", "count": null, "call": 3}'],
    },
    "patches": {
        "plane": ["", "[9]", "[-1]", '["x"]', "[[0]]", "{}", DEEP, b"\xff", 3],
        "y0": [-5, "x", 1 << 40, 59],
        "x1": [-5, "x", 1 << 40, 1 << 31, 0],
        "before": [b"", BOMB, LONG, "text", b"\xff" * 40],
        "after": [b"", BOMB, LONG, "text", b"\xff" * 40],
    },
    "rows": {
        "label": [-1, 0, 1 << 40, "x"],
        "before": ["{}", "[]", DEEP, '{"label": 1e999}', b"\xff"],
        "after": ["{}", "[]", DEEP, '{"label": "x"}', '{"label": 1, "plane": [0]}'],
    },
    "log": {"op": ["x", 99, -1], "action": ["", 3, b"\xff"], "time": ["x"]},
    "objects": {
        "plane": ["", "9", "0,0", "x", b"\xff", ",,,", 3],
        "area_px": [-1, "x", 1 << 62, b"\x00"],
        "y0": [-5, 1 << 40, "x"],
        "y1": [-5, 1 << 40, 1 << 31, "x", 0],
        "x1": [1 << 62],
        "category": [3, 2.5, b"\xff\xfe"],
        "predicted_iou": ["x", b"\x00", float("inf")],
        "model": [b"\xff"],
        "op": ["x", -1, 1 << 62],
        "created": ["x", 1e300, -1e300],
        "n_planes": [0, -1, 1 << 62, "x"],
        "parent": [-1, 1, 1 << 62, "x", b"\xff"],
    },
    "object_planes": {
        "label": [-1, 1 << 40],
        "plane": ["", "9", "0,0", "x", b"\xff", ",,,"],
        "area_px": [-1, "x", 1 << 62, b"\x00"],
        "x1": [1 << 62, "x", 0],
        "predicted_iou": ["x", b"\x00", float("inf")],
    },
    "plane_rows": {
        "label": [-1, 1 << 40, "x"],
        "plane": ["", "9", b"\xff"],
        "before": ["{}", "[]", DEEP, "[1, 2, 3, 4, 5, 6, 7, 8]", b"\xff"],
        "after": ["{}", "[]", DEEP, '["x", "0", 1, 0, 0, 1, 1, null]', b"\xff"],
    },
}


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("column", [f"{table}.{column}" for table in VALUES for column in VALUES[table]])
def test_a_wrong_value_is_read_or_refused_in_one_line(sound, tmp_path, column):
    table, name = column.split(".")
    for number, value in enumerate(VALUES[table][name]):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            store = changed(sound, folder, f"UPDATE OR REPLACE {table} SET {name} = ?", (value,))
        except sqlite3.Error:
            continue  # SQLite refuses it, too
        use(store, folder)


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("part", range(4))
def test_flipped_bytes_are_read_or_refused_in_one_line(sound, tmp_path, part):
    rng = np.random.default_rng(part)
    for seed in range(SEEDS // 4):
        folder = tmp_path / str(seed)
        shutil.copytree(sound, folder / "s")
        file = folder / "s" / "journal.sqlite"
        data = np.frombuffer(file.read_bytes(), np.uint8).copy()
        where = rng.integers(100 if seed % 3 else 0, len(data), int(rng.integers(1, 30)))
        data[where] ^= rng.integers(1, 256, len(where)).astype(np.uint8)
        file.write_bytes(data.tobytes())
        use(folder / "s", folder)


@pytest.mark.parametrize("data", [BOMB, LONG, b"", b"\0" * 12, np.array([1 << 31, 1 << 31, 1], "<u4").tobytes() + b"x"])
def test_run_lengths_never_take_more_memory_than_they_may(data):
    with pytest.raises(StoreError, match="damaged"):
        decode_labels(data, (10, 10))
    if data is not LONG:
        with pytest.raises(StoreError, match="damaged"):
            decode_labels(data)


def test_masks_and_logits_never_take_more_memory_than_they_may():
    for runs in (
        {"size": [1 << 20, 1 << 20], "counts": [1 << 40]},
        {"size": [2, 2], "counts": [1 << 62, 4]},
        {"size": "x"},
    ):
        with pytest.raises(StoreError, match="damaged"):
            decode_mask(runs)
    import base64

    bomb = base64.b64encode(zlib.compress(b"\0" * 10_000_000)).decode()
    for text in (f"2x2:{bomb}", f"1000000x1000000:{bomb}", "x", "2x2", "2x2:!", json.dumps({})):
        with pytest.raises(StoreError, match="damaged"):
            unpack_logits(text)


def test_a_sound_store_gives_no_error(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "s")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with LabelStore.open(tmp_path / "s") as labels:
            assert len(labels.table()) == 5
            assert labels.redo()["kind"] == "commit"
