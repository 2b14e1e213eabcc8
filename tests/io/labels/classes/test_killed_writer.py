"""A writer of classes and of many objects that is killed at random moments loses no completed change."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import textwrap
import time
import zlib

import numpy as np
import pytest

from napari_sam.io.labels.label_store import LabelStore


def state(labels):
    """Return pixels, objects and classes of a store in a form that can be printed and compared."""
    rows = [[row.label, row.area_px, row.category] for row in labels.journal.objects.table()]
    classes = [[item.name, item.colour, item.parent, item.key] for item in labels.classes]
    return {"pixels": zlib.crc32(labels.array[...].tobytes()), "rows": rows, "classes": classes}


_WRITER = (
    "import zlib\n"
    + inspect.getsource(state)
    + textwrap.dedent(
        """
    import contextlib, json, sys
    import numpy as np
    from napari_sam.errors import LabelsError
    from napari_sam.io.labels.label_store import LabelStore
    rng = np.random.default_rng(int(sys.argv[2]))

    def change(labels):
        ids = [row.label for row in labels.journal.objects.table()]
        some = [int(label) for label in rng.choice(ids, min(len(ids), 5), replace=False)] if ids else []
        names = labels.classes.names
        name = names[int(rng.integers(len(names)))] if names else "none"
        word = f"class {int(rng.integers(1000))}"
        def paint():
            first = labels.next_label
            plane = (int(rng.integers(2)),) if len(labels.shape) == 3 else ()
            cells = np.kron(np.arange(first, first + 16).reshape(4, 4), np.ones((20, 20), int))
            labels.paint(cells, (int(rng.integers(2080)), int(rng.integers(300))), plane=plane)
        choices = [
            paint,
            lambda: labels.set_category(some, word),
            lambda: labels.set_category({label: name for label in some}),
            lambda: labels.classes.add(word, key=int(rng.integers(1, 10)), parent=name if names else None),
            lambda: labels.classes.rename(name, word),
            lambda: labels.classes.remove(name),
            lambda: labels.classes.update(name, colour="#%06x" % int(rng.integers(1 << 24))),
            lambda: labels.delete(some),
            lambda: labels.relabel({label: labels.next_label + i for i, label in enumerate(some)}),
            lambda: labels.merge(some),
            labels.undo,
            labels.undo,
            labels.redo,
        ]
        with contextlib.suppress(LabelsError):
            choices[int(rng.integers(len(choices)))]()

    with LabelStore.open(sys.argv[1]) as labels:
        print("ready", flush=True)
        while True:
            change(labels)
            print(json.dumps(state(labels)), flush=True)
    """
    )
)


@pytest.mark.timeout(290)
@pytest.mark.parametrize("shape", [(2200, 400), (2, 2200, 400)], ids=["image", "stack"])
def test_a_writer_of_classes_killed_at_random_moments_loses_no_completed_change(tmp_path, shape):
    LabelStore.create(tmp_path / "s", shape=shape).close()
    rng = np.random.default_rng(0)
    for kill in range(12):
        command = [sys.executable, "-c", _WRITER, str(tmp_path / "s"), str(kill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            printed = [process.stdout.readline() for _ in range(int(rng.integers(1, 9)))]
            time.sleep(float(rng.uniform(0, 0.05)))
            process.kill()
            printed += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        last = json.loads(printed[-1])
        with LabelStore.open(tmp_path / "s") as labels:
            now = state(labels)
            assert last in states_around(labels, now)
            assert state(labels) == now
            labels.journal.check_all()
            declared = {item.name for item in labels.classes if labels.journal.classes.row(item.name)}
            assert {category for *_, category in now["rows"]} - {None} <= declared
    with LabelStore.open(tmp_path / "s") as labels:
        while labels.undo():
            pass
        assert state(labels) == {
            "pixels": zlib.crc32(np.zeros(shape, np.uint32).tobytes()),
            "rows": [],
            "classes": [],
        }


def states_around(labels, now):
    """Return a store's state, and those one step away: one more change may be on disk than was reported."""
    states = [now]
    for step, back in ((labels.undo, labels.redo), (labels.redo, labels.undo)):
        if step() is not None:
            states.append(state(labels))
            back()
    return states
