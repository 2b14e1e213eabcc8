"""Many prompts at once: boxes or points from a table, a detector or another program become objects of a label store."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.engine.windows import Hints, whole_window
from napari_sam.errors import CancelledError, ImageError, PromptError, SettingsError, StoreError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.editing.commit_many import COVERED, DUPLICATE, NewObject
from napari_sam.io.labels.journal.prediction_records import prediction_record
from napari_sam.io.labels.journal.run_length import decode_labels, encode_labels
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.prompts.read_prompts import read_prompts
from napari_sam.jobs.run_output import leave, output_store, predictor_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.prompts.prompt_table import PromptTable
    from napari_sam.predictor import Predictor

_UNIT = 256  # prompts that are sorted by confidence and committed together, whatever the batch
_COMMIT_PX = 1 << 25  # of masks' boxes that one commit draws
_NEAR_PX = 2048  # windows that begin in one square of this side are asked one after the other
_MARK = "prompted.json"
_WIDEST_PX = 1 << 31  # of an image's side
_FAILURES = 1000  # named in the report and the journal at most


@dataclass(frozen=True)
class PromptFailure:
    """A prompt that could not be answered: what the source calls it, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class PromptedReport:
    """What became of the prompts.

    Attributes
    ----------
    prompts : int
        How many were asked.
    objects : int
        How many became objects.
    first_label : int
        The id that the first object got, or would have got.
    unsure : int
        Left out because the network's predicted IoU is below `min_iou`.
    duplicates : int
        Left out because another prompt gave the same object.
    covered : int
        Left out because other objects have all their pixels, or the mask is empty.
    skipped : dict of str to int
        Left out when the prompts were read, by reason.
    failed : list of PromptFailure
        Prompts without an answer, such as those on damaged pixels; 1000 at most are named.
    failures : int
        How many failed.
    seconds : float
        What this call took.
    labels : LabelStore
        Where the objects are, open for writing.
    """

    prompts: int
    objects: int
    first_label: int
    unsure: int
    duplicates: int
    covered: int
    skipped: dict[str, int]
    failed: list[PromptFailure]
    failures: int
    seconds: float
    labels: LabelStore = field(repr=False)


@dataclass
class _Counts:
    """What became of the prompts so far."""

    objects: int = 0
    unsure: int = 0
    duplicates: int = 0
    covered: int = 0
    failures: int = 0

    def add(self, other: _Counts) -> None:
        """Add what became of more."""
        for name in ("objects", "unsure", "duplicates", "covered", "failures"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class _Found:
    """A mask that waits to be committed, as runs."""

    index: int
    packed: bytes
    bbox: tuple[int, int, int, int]
    record: dict[str, Any]

    @property
    def area_px(self) -> int:
        """Of its box."""
        return (self.bbox[2] - self.bbox[0]) * (self.bbox[3] - self.bbox[1])

    def unpacked(self) -> NewObject:
        """As the store takes it."""
        return NewObject(decode_labels(self.packed) > 0, self.bbox, self.record)


def segment_prompts(  # noqa: PLR0913 - one keyword for each choice
    image: Any,
    prompts: Any,
    predictor: str | Path | Predictor = "default",
    output: LabelStore | str | Path | None = None,
    *,
    overlap: str = "keep",
    min_iou: float = 0.0,
    nms: float | None = 0.5,
    category: str | None = None,
    batch: int = 64,
    diameter_px: float | None = None,
    resume: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PromptedReport:
    """Segment the object of every prompt, in an image of any size, up to a million of them.

    Parameters
    ----------
    image
        Whatever `open_image` opens.
    prompts
        Whatever `read_prompts` reads: a table of boxes or points, COCO, GeoJSON, other labels; or what it returned.
    predictor : str, Path or Predictor
        A model, or a predictor, whose own image stays as it is; if that is this image, its normalisation is used.
    output : LabelStore, str or Path, optional
        Where the objects go: a store, or the folder of one, which is made if there is none. Without it they go to
        a temporary store, deleted when the process ends.
    overlap : {"keep", "replace"}
        Where a mask meets objects that were there before, they keep their pixels, or it takes them. Among these
        prompts the surer mask keeps its pixels, or the one that was found before.
    min_iou : float
        Masks of a lower predicted IoU are left out.
    nms : float or None
        Two masks of at least this IoU are one object, of which the second is left out; None to keep all.
    category : str, optional
        What kind of objects they are, where the prompts do not say it.
    batch : int
        Prompts that are decoded at once; changes speed and memory only.
    diameter_px : float, optional
        Typical diameter of the objects, level-0 pixels, for prompts that are single points.
    resume : bool, optional
        What to do with a run that was stopped in this output: None is an error that names it; True goes on with it;
        False forgets it, its objects stay.
    progress : callable, optional
        Called with prompts done and their number.
    cancelled : callable, optional
        Asked between the steps whether to stop.

    Returns
    -------
    PromptedReport

    Raises
    ------
    PromptError
        If prompts cannot be read.
    SettingsError
        If an argument means nothing.
    ImageError
        If the image cannot be opened.
    StoreError
        If the output cannot be written, or holds a run that was stopped. A store that was made for this call is
        deleted again if it fails before the first commit.
    CancelledError
        If `cancelled` said so: what was committed is kept, and the same call with ``resume=True`` goes on.

    Notes
    -----
    Prompts are answered in the order of their windows, small objects first, so that each window is encoded once;
    256 of them are committed as one change, which one undo takes back.
    """
    begun = time.monotonic()
    _check(overlap, min_iou, nms, batch, diameter_px)
    opened = open_image(image)
    table = read_prompts(prompts, opened)
    ready = predictor_for(predictor, opened)
    settings = {
        "overlap": overlap,
        "min_iou": float(min_iou),
        "nms": None if nms is None else float(nms),
        "category": category,
        "diameter_px": None if diameter_px is None else float(diameter_px),
    }
    store, made = output_store(output, opened)
    run = None
    try:
        run = _Run(store, table, ready, settings, int(batch), cancelled)
        run.begin(resume)
        for done in run.steps():
            if progress is not None:
                progress(done, len(table))
        run.end()
    except BaseException as error:
        refused = not isinstance(error, CancelledError | KeyboardInterrupt)  # what was stopped may go on
        if refused and run is not None:
            run.drop_if_nothing_done()
        leave(store, output, delete=made and refused and not store.can_undo)
        raise
    return run.report(time.monotonic() - begun)


def unfinished_prompts(labels: LabelStore | str | Path) -> dict[str, Any] | None:
    """What is known of a run that was stopped in a store: ``prompts``, ``begun``; None if there is none."""
    path = labels.path if isinstance(labels, LabelStore) else Path(labels).expanduser()
    return _read_mark(path / _MARK)


class _Run:
    """One run over a table of prompts."""

    def __init__(
        self,
        store: LabelStore,
        table: PromptTable,
        predictor: Predictor,
        settings: dict[str, Any],
        batch: int,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._store, self._table, self._predictor, self._settings = store, table, predictor, settings
        self._batch, self._cancelled = batch, cancelled
        self._mark = store.path / _MARK
        self._hints = Hints(diameter_px=settings["diameter_px"])
        self._key = self._name()
        self._first_label = store.next_label
        self._counts, self._in_unit = _Counts(), _Counts()
        self._failed: list[list[Any]] = []
        self._told = 0  # of the failures, how many the journal has
        self._start, self._within = 0, 0
        self._noted = self._committed = False
        self._plane = tuple(getattr(predictor.image, "plane", ())) if len(store.shape) > 2 else ()

    def begin(self, resume: bool | None) -> None:
        """Go on with a run that was stopped, or note that this one begins."""
        left = _read_mark(self._mark)
        if left is not None and resume is None:
            raise StoreError(
                f"{self._store.path}: holds an unfinished run of {left.get('prompts')} prompts; resume=True (--resume) "
                "goes on with it, resume=False (--add) forgets it and keeps its objects"
            )
        if left is not None and resume and left.get("run") != self._key:
            raise StoreError(
                f"{self._store.path}: the unfinished run is of other prompts, another image, model or settings; give "
                "the same ones, or resume=False (--add) to forget it and keep its objects"
            )
        if resume:
            self._restore()
        note = {"run": self._key, "prompts": len(self._table), "begun": time.time()}
        try:
            self._mark.write_text(json.dumps(note))
        except OSError as error:
            raise StoreError(f"{self._mark}: cannot be written: {error}") from error
        self._noted = True

    def drop_if_nothing_done(self) -> None:
        """Leave no note of a run that has nothing to go on with."""
        if self._noted and not self._committed:
            self._mark.unlink(missing_ok=True)

    def end(self) -> None:
        """Note that the run is finished."""
        self._mark.unlink(missing_ok=True)

    def steps(self) -> Iterator[int]:
        """Answer and commit prompts; gives how many are done."""
        order = _order(self._table, self._predictor, self._hints)
        total = len(order)
        while self._start < total:
            self._ask_to_stop(total)
            unit = order[self._start : self._start + _UNIT].tolist()
            found, counts, failed = self._answers(unit)
            for part in _parts(found[self._within :]):
                self._commit(part)
            self._in_unit.unsure, self._in_unit.failures = counts.unsure, counts.failures
            self._failed = (self._failed + failed)[:_FAILURES]
            self._counts.add(self._in_unit)
            self._in_unit, self._within = _Counts(), 0
            self._start += len(unit)
            yield self._start
        if not total or self._start >= total:
            yield total

    def report(self, seconds: float) -> PromptedReport:
        """What became of all prompts."""
        c = self._counts
        failed = [PromptFailure(int(n), str(reason)) for n, reason in self._failed]
        return PromptedReport(
            len(self._table), c.objects, self._first_label, c.unsure, c.duplicates, c.covered,
            dict(self._table.skipped), failed, c.failures, seconds, self._store,
        )  # fmt: skip

    def _ask_to_stop(self, total: int) -> None:
        if self._cancelled is not None and self._cancelled():
            raise CancelledError(
                f"stopped after {self._start} of {total} prompts; {self._counts.objects} objects are kept, and the "
                "same call with resume=True (--resume) goes on"
            )

    def _name(self) -> str:
        """A hash of everything that the result depends on."""
        key = self._predictor.key(whole_window(self._predictor.image.shape, self._predictor.img_size))
        image = key.image if key.persistent else ""
        text = [image, key.image_shape, key.weights, key.precision, asdict(key.normalisation), self._settings]
        table, digest = self._table, hashlib.sha256(repr(text).encode())
        for array in (table.boxes, table.points, table.point_labels, table.first):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr((table.category, table.mask is not None)).encode())
        return digest.hexdigest()[:32]

    def _restore(self) -> None:
        """Where the last commit of this run left off."""
        changes = self._store.journal.changes
        last = changes.last_of_run(self._key, "commits")
        if last is None:
            return
        self._committed = True
        for change in changes.failures_of_run(self._key):
            self._failed += change.record["source"]["failed"]
        self._told = len(self._failed)
        record = last.record
        left = record["source"]
        self._first_label, self._start = left["first_label"], left["start"]
        self._within = left["within"] + left["size"]
        self._counts, self._in_unit = _Counts(**left["before"]), _Counts(**left["in_unit"])
        self._in_unit.add(_Counts(len(record["objects"]), 0, record["duplicates"], record["covered"]))

    def _commit(self, part: list[_Found]) -> None:
        """Write some masks as one change."""
        source = {
            "run": self._key,
            "failed": self._failed[self._told :],
            "first_label": self._first_label,
            "start": self._start,
            "within": self._within,
            "size": len(part),
            "before": asdict(self._counts),
            "in_unit": asdict(self._in_unit),
        }
        numbers = self._store.commit_many(
            [one.unpacked() for one in part],
            self._settings["overlap"],
            plane=self._plane,
            nms=self._settings["nms"],
            since=self._first_label,
            source=source,
        )
        if any(number > 0 for number in numbers):  # without an object there is no change in the journal
            self._committed, self._told = True, len(self._failed)
        self._within += len(part)
        duplicates, covered = numbers.count(DUPLICATE), numbers.count(COVERED)
        self._in_unit.add(_Counts(len(numbers) - duplicates - covered, 0, duplicates, covered))

    def _answers(self, unit: list[int]) -> tuple[list[_Found], _Counts, list[list[Any]]]:
        """Masks of some prompts, the surest first; how many have none, and why."""
        counts, found = _Counts(), []
        failed: list[list[Any]] = []
        for start in range(0, len(unit), self._batch):
            some = unit[start : start + self._batch]
            for index, answer in zip(some, self._predict(some, failed), strict=True):
                if answer is None:
                    continue
                if float(answer.predicted_iou[answer.best]) < self._settings["min_iou"]:
                    counts.unsure += 1
                else:
                    found.append(self._pack(index, answer))
        found.sort(key=lambda one: (-one.record["predicted_iou"], one.index))
        counts.failures = len(failed)
        return found, counts, failed

    def _predict(self, some: list[int], failed: list[list[Any]]) -> list[Prediction | None]:
        """Answers to some prompts; if one of them has none, the others are asked one by one."""
        try:
            asks = [self._table.keywords(i) for i in some]
            return list(self._predictor.predict_many(asks, hints=self._hints, cancelled=self._cancelled))
        except (PromptError, ImageError) as error:
            if len(some) > 1:
                return [one for i in some for one in self._predict([i], failed)]
            failed.append([int(self._table.number[some[0]]), str(error)])
            return [None]

    def _pack(self, index: int, answer: Prediction) -> _Found:
        mask, table = answer.mask, self._table
        source: dict[str, Any] = {table.word: int(table.number[index])}
        if np.isfinite(table.score[index]):
            source["score"] = float(table.score[index])
        record = prediction_record(answer, answer.best, mask, source)
        record["category"] = table.category[index] or self._settings["category"]
        return _Found(index, encode_labels(mask.view(np.uint8)), answer.bbox, record)


def _parts(found: list[_Found]) -> Iterator[list[_Found]]:
    """Cut a list so that no part's boxes have too many pixels to be drawn at once."""
    part: list[_Found] = []
    area = 0
    for one in found:
        if part and area + one.area_px > _COMMIT_PX:
            yield part
            part, area = [], 0
        part.append(one)
        area += one.area_px
    if part:
        yield part


def _order(table: PromptTable, predictor: Predictor, hints: Hints) -> NDArray[np.int64]:
    """The prompts by window, small windows first; neighbours together, so that each shard is written a few times."""
    shape, side = predictor.image.shape, predictor.img_size
    places = np.zeros((len(table), 3), np.int64)
    for i in range(len(table)):
        points, labels = table.points_of(i)
        window = choose_window(Prompt(points, labels, table.box_of(i)), shape, side, hints)
        places[i] = max(window.shape), *window.bbox[:2]
    sides, y0, x0 = places.T
    near_y, near_x = y0 // _NEAR_PX, x0 // _NEAR_PX
    near_x = np.where(near_y % 2 == 0, near_x, -near_x)  # to and fro
    return np.lexsort((np.arange(len(table)), x0, y0, near_x, near_y, sides))


def _read_mark(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}  # half written: of a run that had done nothing yet
    return found if isinstance(found, dict) else {}


def _check(overlap: str, min_iou: float, nms: float | None, batch: int, diameter_px: float | None) -> None:
    """Refuse what means nothing, before anything is made."""
    if overlap not in ("keep", "replace"):
        raise SettingsError(f"overlap {overlap!r}: use 'keep' or 'replace'")
    if not _is_number(min_iou) or not 0 <= min_iou <= 1:
        raise SettingsError(f"min_iou {min_iou!r}: give a number from 0 to 1")
    if nms is not None and (not _is_number(nms) or not 0 < nms <= 1):
        raise SettingsError(f"nms {nms!r}: give an IoU above 0 and up to 1, or None to keep all masks")
    if not _is_number(batch) or int(batch) != batch or batch < 1:
        raise SettingsError(f"batch {batch!r}: give a whole number, 1 or more")
    if diameter_px is not None and (not _is_number(diameter_px) or not 0 < diameter_px <= _WIDEST_PX):
        raise SettingsError(f"diameter_px {diameter_px!r}: give a positive number of level-0 pixels, or None")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return isinstance(value, int) or bool(np.isfinite(value))
