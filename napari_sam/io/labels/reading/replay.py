"""Write the history of a label store as a Python script that makes the same objects again."""

from __future__ import annotations

import base64
from pathlib import PurePath
from typing import TYPE_CHECKING

from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.engine.windows import Hints
from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal.row_values import text
from napari_sam.io.labels.reading.replay_classes import added_class_lines, class_lines, many_lines
from napari_sam.io.labels.reading.script_heads import command_head, snippet_head
from napari_sam.io.labels.reading.script_values import known_arguments, literal, settings_arguments
from napari_sam.io.labels.store_access import CONCEPTS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.io.labels.journal.rows import JournaledChange, Plane, Record
    from napari_sam.io.labels.reading.store_view import StoreView

_CALLS = {
    "erase": ("erase", ("label",)),
    "merge": ("merge", ("labels", "into")),
    "relabel": ("relabel", ("label", "new")),
    "category": ("set_category", ("label", "category")),
    "review": ("review", ("label", "verdict")),
    "parent": ("set_parent", ("label", "parent")),
}
_FIND_SETTINGS = ("category", "region", "side", "coarser", "overlap", "border")
"""Arguments of `find` that a run's record holds."""
_PLANE_NAMES = {"erase": "plane", "relabel": "planes"}
"""What the record of a change names if it concerns some planes of an object only."""
_DRAWN_NAMES = {"split": "cut", "commits": "prompts", "everything": "tile", "commit": "object"} | {
    kind: f"{kind}, drawn" for kind in _CALLS
}
"""Names of changes that the script draws; those of the store's own changes are reserved."""
_END = "\nprint(labels.table().to_string())\nlabels.close()\n"


def to_script(store: StoreView, name: str = "replay.py") -> str:
    """Return a Python script with all changes in effect.

    Prompts are predicted again, drawings are repeated.

    Parameters
    ----------
    store : LabelStore
        The labels.
    name : str
        File name of the script, for its usage line.

    Returns
    -------
    str
        The script, which takes the image and the store to make as optional arguments.
    """
    changes = store.journal.changes.in_effect()
    body = _body(store, changes)
    return command_head(store, body, len(changes), name) + body + _END


def to_snippet(store: StoreView, *, last: bool = False) -> str:
    """Return Python lines to paste into a notebook or a script; `LabelStore.to_python` documents them."""
    if last:
        newest = store.journal.changes.next_change(undo=True)
        changes = [] if newest is None else _with_its_run(store, newest)
    else:
        changes = store.journal.changes.in_effect()
    if not changes:
        raise LabelsError(f"{store.path.name} has no changes to repeat", remedy="accept an object first")
    body = _body(store, changes)
    return snippet_head(store, body, len(changes), is_last=last) + body + _END


def _with_its_run(store: StoreView, change: JournaledChange) -> list[JournaledChange]:
    """Return a change, or all of the whole-image run that it belongs to."""
    run = [] if change.run_id is None else store.journal.changes.of_run(change.run_id, change.kind)
    return run or [change]


def _body(store: StoreView, changes: Sequence[JournaledChange]) -> str:
    writer = _ScriptWriter(store)
    return "".join(line for change in changes for line in writer.lines(change))


class _ScriptWriter:
    """Write one change after another, with the predictors that they need."""

    def __init__(self, store: StoreView) -> None:
        self._store = store
        self._models: list[str] = []
        self._current: tuple[str, str] | None = None
        self._repeated_runs: set[str | None] = set()

    def lines(self, change: JournaledChange) -> list[str]:
        """Return the lines of a change: what was asked, or its pixels where its record does not say that."""
        try:
            if change.kind == "commit" and "planes" not in change.record:
                return self._commit(change)
            if change.kind == "everything":
                return self._everything(change)
            return list(_other_change(self._store, change))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            return [
                f"# change {change.op}: its record cannot be repeated, so its pixels are drawn\n",
                *_drawn_pixels(self._store, change),
            ]

    def _commit(self, change: JournaledChange) -> list[str]:
        record = change.record
        model = text(record["model"])
        lines = []
        source = f"({_image(record)}, {_normalisation(record['normalisation'])})\n"
        call = _commit_lines(record, _plane(self._store, change.op))
        if model not in self._models:
            self._models.append(model)
            lines.append(f"predictor_{len(self._models) - 1} = ns.Predictor({literal(model)})\n")
        predictor = f"predictor_{self._models.index(model)}"
        if (predictor, source) != self._current:
            lines.append(f"{predictor}.set_source{source}")
            self._current = (predictor, source)
        return [*lines, f"p = {predictor}.predict({call[0]})\n", f"labels.commit(p, {call[1]})\n"]

    def _everything(self, change: JournaledChange) -> list[str]:
        """Return a whole-image run, which its first change describes; the changes of its tiles follow from that."""
        record = change.record
        if "first_label" not in record:
            return [] if change.run_id in self._repeated_runs else list(_drawn_pixels(self._store, change))
        if "stack_call" in record:
            lines = _stack_lines(self._store, record)
            self._repeated_runs.add(change.run_id)
            return lines
        image = _plane_image(record)
        if "find" in record:
            call = _find_call(self._store, record, image, record["call"], [])
        else:
            words = [f"{name}={literal(text(value))}" for name, value in record.get("words", {}).items()]
            settings = [*settings_arguments(record["call"]), *words]
            call = f"ns.segment_everything({image}, everything, labels{''.join(f', {item}' for item in settings)})\n"
        lines = [
            f"everything = ns.Predictor({literal(text(record['model']))})\n",
            f"everything.set_source({image}, {_normalisation(record['normalisation'])})\n",
            call,
        ]
        self._repeated_runs.add(change.run_id)
        return lines


def _find_call(store: StoreView, record: Record, image: str, call: Record, more: list[str]) -> str:
    """Return the line of a search for a concept, whose file the store keeps."""
    asked = record["find"]
    path = store.path.absolute() / CONCEPTS_FOLDER / PurePath(text(asked["concept"])).name
    given = {name: call[name] for name in _FIND_SETTINGS if call.get(name) is not None}
    settings = settings_arguments(given)
    threshold = f"threshold={literal(asked['threshold'])}"
    arguments = [image, literal(str(path)), "everything", "labels", threshold, *settings, *more]
    return f"ns.find({', '.join(arguments)})\n"


def _stack_lines(store: StoreView, record: Record) -> list[str]:
    """Return the lines of a run over a whole stack."""
    given = dict(record["linking"])
    kind = {"PlaneLinking": PlaneLinking, "FrameLinking": FrameLinking}[text(given.pop("kind"))]
    function, planes = ("segment_volume", "planes") if kind is PlaneLinking else ("track", "frames")
    plane = tuple(max(0, int(index)) for index in record["plane"])
    image = _plane_image({**record, "plane": plane})
    linking = f"linking=ns.{kind.__name__}({', '.join(known_arguments(given, kind))})"
    if "find" in record:
        more = [f"planes={literal(record['planes'])}", linking]
        call = _find_call(store, record, image, record["stack_call"], more)
        return [f"everything = ns.Predictor({literal(text(record['model']))})\n", call]
    arguments = [
        f"axis={literal(record['axis'])}",
        f"{planes}={literal(record['planes'])}",
        f"settings=EverythingSettings({', '.join(settings_arguments(record['stack_call']))})",
        linking,
    ]
    return [
        f"everything = ns.Predictor({literal(text(record['model']))})\n",
        f"ns.{function}({image}, everything, labels, {', '.join(arguments)})\n",
    ]


def _commit_lines(record: Record, plane: Plane) -> tuple[str, str]:
    """Return the arguments of the prediction, and those of the commit."""
    prompt = record["prompt"]
    arguments = [f"{key}={literal(prompt[key])}" for key in ("points", "point_labels") if key in prompt]
    if "box" in prompt:
        arguments.append(f"box={literal(tuple(prompt['box']))}")
    if "mask" in prompt:
        mask = prompt["mask"]
        arguments.append(f"mask=MaskPrompt(decode_mask({literal(mask['runs'])}), {literal(tuple(mask['bbox']))})")
    elif "logits" in prompt:
        arguments.append(f"mask=earlier_prediction({literal(prompt['logits'])}, {literal(prompt['earlier'])})")
    arguments.append(f"multimask={literal(record['multimask'])}")
    hints = known_arguments({name: value for name, value in record["hints"].items() if value}, Hints)
    if hints:
        arguments.append(f"hints=Hints({', '.join(hints)})")
    if record["refine"] is not None:
        arguments.append(f"refine={literal(record['refine'])}")
    names = ("overlap", "category", "candidate")
    rest = [f"label={literal(record.get('label'))}", *(f"{name}={literal(record[name])}" for name in names)]
    if plane:
        rest.append(f"plane={literal(plane)}")
    return ", ".join(arguments), ", ".join(rest)


def _other_change(store: StoreView, change: JournaledChange) -> Iterator[str]:
    kind, record = change.kind, change.record
    lines = class_lines(record) if kind == "classes" else many_lines(kind, record)
    if lines:
        yield from lines
        return
    if kind in _CALLS:
        method, names = _CALLS[kind]
        arguments = [literal(record[name]) for name in names]
        where = record.get(_PLANE_NAMES.get(kind, ""))
        if where is not None:
            indices = tuple(where) if kind == "erase" else [tuple(plane) for plane in where]
            arguments.append(literal(indices))
        yield f"labels.{method}({', '.join(arguments)})\n"
        return
    yield from _drawn_pixels(store, change)  # drawn by hand, or cut along a line: exactly these pixels


def _drawn_pixels(store: StoreView, change: JournaledChange) -> Iterator[str]:
    """Yield the lines that draw the pixels of a change, and give its objects their parents and categories."""
    yield from added_class_lines(store.journal.classes.added_by(change.op))
    for patch in store.journal.changes.patches(change.op):
        runs = base64.b64encode(patch.after).decode()
        plane = f", plane={literal(patch.plane)}" if patch.plane else ""
        name = _DRAWN_NAMES.get(change.kind, change.kind)
        yield f"labels.paint(labels_from_text({runs!r}), {literal(tuple(patch.box[:2]))}, kind={name!r}{plane})\n"
    for child, parent in store.journal.changes.parents_set_by(change.op):
        yield f"labels.set_parent({literal(child)}, {literal(parent)})\n"
    categories = store.journal.changes.categories_set_by(change.op)
    if categories:
        yield f"for label, category in {literal(categories)}:\n    labels.set_category(label, category)\n"


def _image(record: Record) -> str:
    """Return an expression for the plane and channels that were segmented."""
    return _plane_image(record) if record["channels"] else "image"


def _plane_image(record: Record) -> str:
    return f"image.with_plane({literal(tuple(record['plane']))}, {literal(tuple(record['channels']))})"


def _normalisation(record: Record) -> str:
    return f"Normalisation({literal(tuple(record['low']))}, {literal(tuple(record['high']))})"


def _plane(store: StoreView, op: int) -> Plane:
    return next((patch.plane for patch in store.journal.changes.patches(op)), ())
