"""The page "Find" in a real window: mark one object, get all of its kind, correct by clicks and lasso, save."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest
from skimage.measure import regionprops

from napari_sam.concept import Concept
from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.geometry import Box
from napari_sam.errors import CancelledError, ImageError, PromptError
from napari_sam.jobs.find.find_in_images import ImageResult
from napari_sam.layers.find.found_layer import FOUND_NAME
from napari_sam.layers.find.search import Found
from napari_sam.layers.objects.selection_band import BAND_NAME
from napari_sam.layers.region_layer import REGION_NAME
from napari_sam.widgets.dock import SamDock
from napari_sam.widgets.dock_panel import CLICK, FIND, REVIEW
from napari_sam.widgets.find import find_everywhere, find_region
from napari_sam.widgets.find.find_panel import DRAWN, FOLDER, WHOLE
from tests.layers.find.conftest import LAYOUT, features_of
from tests.widgets.conftest import Window
from tests.widgets.pages.test_everything_page import press
from tests.widgets.pages.test_review_page import go_to

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    collect_ignore_glob = ["test_*"]

PART = (slice(40, 320), slice(80, 400))


class TruthEngine:
    """Finds the true nuclei; those with even labels are of one kind.

    Attributes
    ----------
    go : threading.Event
        Searches end only while it is set.
    wanted : list of Wanted
        What was looked for.
    """

    def __init__(self):
        self.go, self.wanted, self.error, self.truth = threading.Event(), [], None, None
        self.go.set()

    def measure(self, image, predictor, examples, cancelled):
        from dataclasses import replace

        rng = np.random.default_rng(1)
        kinds = [self._label(example) % 2 == 0 for example in examples]
        rows = features_of(kinds, rng)
        return [replace(e, features=row, layout=LAYOUT) for e, row in zip(examples, rows, strict=True)]

    def find(self, wanted, predictor, progress, cancelled):
        self.wanted.append(wanted)
        progress(1, 2)
        while not self.go.wait(0.01):
            if cancelled():
                raise CancelledError("cancelled")
        if self.error is not None:
            raise self.error
        if wanted.words and wanted.words not in ("even", "anything"):
            raise PromptError(f"text: {wanted.words!r} is not in the vocabulary", remedy="mark an example")
        objects = [o for o in regionprops(self.truth) if wanted.region.contains(Box(*o.bbox))]
        ones = np.ones(len(objects), np.float32)
        features = features_of([o.label % 2 == 0 for o in objects], np.random.default_rng(2))
        boxes = np.array([o.bbox for o in objects], np.int64).reshape(-1, 4)
        masks = tuple(o.image for o in objects)
        candidates = Candidates(boxes, masks, ones, ones, features, LAYOUT)
        if not wanted.words:
            return Found(candidates, wanted.region, wanted.place)
        scores = np.array([0.9 if o.label % 2 == 0 else 0.1 for o in objects], np.float32)
        return Found(candidates, wanted.region, wanted.place, None, scores, 0.4, wanted.words)

    def _label(self, example):
        return int(np.bincount(self.truth[example.box.slices][example.mask]).argmax())


@pytest.fixture
def engine():
    return TruthEngine()


@pytest.fixture
def session(session):
    """A session that does not look at the image before the first click."""
    session.prepare_job = lambda *_: lambda _: None
    return session


@pytest.fixture
def page(make_napari_viewer, qtbot, session, engine, notifier, nuclei):
    """A window over a part of the sample, on the page "Find", with an engine that knows the truth."""
    viewer = make_napari_viewer(show=True)
    made = Window(viewer, qtbot, SamDock(viewer, session=session, find_engine=engine, notifier=notifier), notifier)
    engine.truth = made.truth = np.ascontiguousarray(nuclei[1][PART]).astype(np.int32)
    made.layer = made.show(nuclei[0][PART], name="nuclei")
    made.viewer.add_labels(made.truth, name="cellpose", opacity=0.1)
    go_to(made, FIND)
    yield made
    made.dock.shutdown()
    made.wait(lambda: not made.dock.thread.busy and not made.dock.find.jobs.thread.busy, 60_000)


def middle(window, label):
    """Return a pixel in the middle of a true nucleus."""
    rows, cols = np.nonzero(window.truth == label)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (cols - cols.mean()) ** 2)
    return int(rows[nearest]), int(cols[nearest])


def whole(window, even=None):
    """Return the labels of nuclei that are not cut by the border; of one kind, if `even` is given."""
    h, w = window.truth.shape
    labels = [o.label for o in regionprops(window.truth) if Box(1, 1, h - 1, w - 1).contains(Box(*o.bbox))]
    return [label for label in labels if even is None or (label % 2 == 0) == even]


def click(window, yx, modifier="NoModifier"):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    spot = window.canvas_position(window.layer, yx)
    QTest.mouseMove(window.canvas.native, spot)
    window.qtbot.wait(30)
    QTest.mouseClick(window.canvas.native, Qt.MouseButton.LeftButton, getattr(Qt.KeyboardModifier, modifier), spot)
    settle(window)


def settle(window):
    find = window.dock.find
    window.qtbot.wait(60)
    window.wait(lambda: not find.jobs.thread.busy and not find._rank_soon.isActive())
    window.qtbot.wait(60)


def search_all(window):
    combo = window.panel.find.where
    combo.setCurrentIndex(combo.findData(WHOLE))
    press(window, window.panel.find.run.start)
    settle(window)


def results(window):
    """Return the true label of each result."""
    search = window.dock.find.search
    boxes, masks = search.ranking.candidates.boxes, search.ranking.candidates.masks
    chosen = np.flatnonzero(search.results())
    labels = [np.bincount(window.truth[Box(*boxes[i].tolist()).slices][masks[i]]).argmax() for i in chosen]
    return sorted(int(label) for label in labels)


def found_with(window, label):
    """Mark a nucleus as example and find all like it."""
    click(window, middle(window, label))
    search_all(window)


def of_kind(window, even):
    return sorted(o.label for o in regionprops(window.truth) if (o.label % 2 == 0) == even)


def test_one_marked_object_finds_its_kind_and_saves_it_as_one_change(page):
    panel, search = page.panel.find, page.dock.find.search
    assert "Click an object" in page.guide
    assert not panel.run.start.isEnabled()
    click(page, middle(page, whole(page, even=True)[0]))
    assert search.choices.counts == (1, 0)
    assert "1 object like this" in panel.examples.text()
    assert "Find all like this" in page.guide
    assert page.viewer.layers[FOUND_NAME].data.any()
    search_all(page)
    assert results(page) == of_kind(page, even=True)
    assert f"{len(results(page))} of {len(of_kind(page, True) + of_kind(page, False))}" in panel.results.text()
    panel.name.setText('nucleus "ü/🔬')
    page.key("C")
    settle(page)
    store = page.writer.store
    assert len(store) == len(of_kind(page, even=True))
    assert set(store.table()["category"]) == {'nucleus "ü/🔬'}
    assert "Saved" in panel.run.message.text()
    page.key("Z", "ControlModifier")
    page.wait(lambda: len(store) == 0)
    assert page.errors == []
    press(page, panel.run.review)
    assert page.panel.tabs.currentIndex() == REVIEW


def test_clicks_and_keys_correct_and_can_be_taken_back(page):
    found_with(page, whole(page, even=True)[0])
    wrong, right = whole(page, even=True)[1], whole(page, even=False)[0]
    click(page, middle(page, wrong), "ControlModifier")
    assert wrong not in results(page)
    assert page.dock.find.search.concept.examples == (1, 1)
    click(page, middle(page, right))
    assert right in results(page)
    page.key("Z")
    settle(page)
    assert page.dock.find.search.choices.counts == (1, 1)
    page.key("Z", "ControlModifier+ShiftModifier")
    settle(page)
    assert page.dock.find.search.choices.counts == (2, 1)
    move_to(page, middle(page, wrong))
    page.key("A")
    settle(page)
    assert wrong in results(page)
    page.key("R")
    settle(page)
    assert wrong not in results(page)
    assert page.errors == []


def move_to(window, yx):
    """Move the mouse without a button, which QTest does not tell the canvas."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    native, spot = window.canvas.native, QPointF(window.canvas_position(window.layer, yx))
    no = Qt.MouseButton.NoButton
    event = QMouseEvent(
        QEvent.Type.MouseMove, spot, QPointF(native.mapToGlobal(spot)), no, no, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(native, event)
    window.qtbot.wait(80)


def test_a_lasso_rejects_or_accepts_many_at_once(page):
    found_with(page, whole(page, even=True)[0])
    before = len(results(page))
    page.key("L")
    assert page.panel.find.lasso.isChecked()
    assert "Draw around" in page.guide
    lasso(page, "ControlModifier")
    rejected = page.dock.find.search.choices.counts[1]
    assert rejected >= 2
    assert len(results(page)) < before
    page.key("Z")
    settle(page)
    assert len(results(page)) == before
    lasso(page, "NoModifier")
    assert page.dock.find.search.choices.counts == (1 + rejected, 0)
    page.key("P")
    assert page.panel.find.pick.isChecked()


def lasso(window, modifier):
    """Draw around the left three quarters of the image."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    held = getattr(Qt.KeyboardModifier, modifier)
    h, w = window.truth.shape
    corners = [(1, 1), (1, 3 * w // 4), (h - 2, 3 * w // 4), (h - 2, 1), (h // 2, 1)]
    native, left = window.canvas.native, Qt.MouseButton.LeftButton
    spots = [window.canvas_position(window.layer, yx) for yx in corners]
    QTest.mouseMove(native, spots[0])
    QTest.mousePress(native, left, held, spots[0])
    for spot in spots[1:]:
        window.qtbot.wait(30)
        QTest.mouseMove(native, spot)
    QTest.mouseRelease(native, left, held, spots[-1])
    settle(window)


def test_the_line_in_the_histogram_moves_the_threshold(page):
    found_with(page, whole(page, even=True)[0])
    everything = len(of_kind(page, True)) + len(of_kind(page, False))
    histogram = page.panel.find.histogram
    drag_line(page, 0.0)
    assert len(results(page)) == everything
    drag_line(page, 1.0)
    assert len(results(page)) <= 1
    assert histogram.threshold == pytest.approx(1, abs=0.05)
    click(page, middle(page, whole(page, even=False)[0]), "ControlModifier")
    assert page.dock.find.search.threshold == histogram.threshold  # learning leaves it alone


def drag_line(window, share):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    histogram = window.panel.find.histogram
    x = round(share * (histogram.width() - 1))
    QTest.mouseClick(histogram, Qt.MouseButton.LeftButton, pos=QPoint(x, 10))
    window.qtbot.wait(50)


def test_only_the_drawn_rectangle_is_searched(page):
    click(page, middle(page, whole(page, even=True)[0]))
    combo = page.panel.find.where
    combo.setCurrentIndex(combo.findData(DRAWN))
    press(page, page.panel.find.run.start)
    assert "Drag a rectangle" in page.errors.pop()
    page.drag(page.layer, (20, 20), (200, 200))
    press(page, page.panel.find.run.start)
    settle(page)
    y0, x0, y1, x1 = page.dock.find.search.found.region
    assert max(abs(y0 - 20), abs(x0 - 20), abs(y1 - 200), abs(x1 - 200)) < 4
    combo.setCurrentIndex(combo.findData(WHOLE))
    assert REGION_NAME not in page.viewer.layers


def test_a_concept_is_saved_loaded_and_finds_without_an_example(page, tmp_path):
    found_with(page, whole(page, even=True)[0])
    page.panel.find.name.setText("even")
    path = tmp_path / "even ü.concept"
    page.dock.find.files.save(path)
    assert "saved in" in page.errors.pop()
    assert Concept.load(path).name == "even"
    press(page, page.panel.find.clear)
    assert "no example" in page.panel.find.examples.text()
    page.dock.find.files.load(path)
    assert "concept “even”" in page.panel.find.examples.text()
    search_all(page)
    assert results(page) == of_kind(page, even=True)
    page.dock.find.files.load(tmp_path / "missing.concept")
    assert "missing" in page.errors.pop()


def test_a_search_can_be_cancelled_and_errors_are_told(page, engine):
    engine.go.clear()
    click(page, middle(page, whole(page, even=True)[0]))
    press(page, page.panel.find.run.start)
    page.wait(lambda: page.panel.find.run.progress.format() != "")
    assert "Cancel" in page.guide
    press(page, page.panel.find.run.cancel)
    settle(page)
    assert page.panel.find.run.start.isVisible()
    assert page.dock.find.search.ranking is None
    engine.go.set()
    engine.error = ImageError("a bad chunk")
    press(page, page.panel.find.run.start)
    settle(page)
    assert "a bad chunk" in page.errors.pop()
    assert page.dock.find.search.choices.counts == (1, 0)


def test_saved_objects_are_not_saved_again(page):
    found_with(page, whole(page, even=True)[0])
    page.key("C")
    settle(page)
    count = len(page.writer.store)
    search_all(page)
    page.key("C")
    settle(page)
    assert len(page.writer.store) == count
    assert f"{count} were saved before" in page.panel.find.run.message.text()


def test_other_pages_take_the_canvas_and_marks_stay(page):
    found_with(page, whole(page, even=True)[0])
    go_to(page, CLICK)
    assert FOUND_NAME not in page.viewer.layers
    assert BAND_NAME not in page.viewer.layers
    go_to(page, FIND)
    assert results(page) == of_kind(page, even=True)
    assert page.viewer.layers[FOUND_NAME].data.any()


def test_examples_of_one_image_find_objects_in_another(page, nuclei):
    found_with(page, whole(page, even=True)[0])
    click(page, middle(page, whole(page, even=False)[0]), "ControlModifier")
    page.viewer.add_image(nuclei[0][PART].copy(), name="second")
    page.settle(300)
    assert page.dock.images.layer.name == "second"
    assert page.dock.find.search.ranking is None
    assert page.dock.find.search.choices.counts == (1, 1)
    page.layer = page.dock.images.layer
    search_all(page)
    assert page.dock.find.search.concept.examples == (1, 1)
    assert results(page) == of_kind(page, even=True)


def test_a_layer_in_memory_is_no_place_for_the_results(page):
    found_with(page, whole(page, even=True)[0])
    combo = page.panel.labels
    combo.setCurrentIndex(combo.findText("cellpose"))
    before = page.truth.copy()
    page.key("C")
    settle(page)
    assert "in memory" in page.errors.pop()
    np.testing.assert_array_equal(page.truth, before)


def test_words_find_objects_and_clicks_correct_them(page):
    panel, find = page.panel.find, page.dock.find
    panel.words.setText("even")
    assert "words" in page.guide
    search_all(page)
    assert results(page) == of_kind(page, even=True)
    assert find.search.threshold == pytest.approx(0.4)
    assert panel.name.text() == "even"
    wrong = whole(page, even=True)[0]
    click(page, middle(page, wrong), "ControlModifier")
    assert wrong not in results(page)
    click(page, middle(page, whole(page, even=True)[1]))
    assert find.search.concept.examples == (1, 1)
    panel.words.setText("zebra")
    search_all(page)
    assert "zebra" in page.errors.pop()
    assert page.errors == []


def test_more_than_is_shown_is_found_and_saved_at_once(page, monkeypatch):
    calls = []

    def find(image, concept, predictor, store, **kwargs):
        calls.append((concept, kwargs))
        kwargs["progress"](1, 2)
        store.paint(np.full((5, 5), store.next_label, np.uint32), (10, 10))
        return report(store)

    monkeypatch.setattr(find_region, "LARGEST_SHOWN_PX", 100)
    monkeypatch.setattr("napari_sam.jobs.find.find.find", find)
    found_with_view(page, whole(page, even=True)[0])
    page.panel.find.name.setText("even")
    search_all(page)
    wait_for_run(page)
    ((concept, keywords),) = calls
    assert concept is page.dock.find.search.concept
    assert keywords["settings"].category == "even"
    assert keywords["resume"] is None
    assert "Found and saved 1 object" in page.panel.find.run.message.text()
    assert page.panel.find.run.review.isVisible()
    assert len(page.writer.store) == 1


def report(store):
    from napari_sam.jobs.find.find import FindReport

    return FindReport("even", 0.5, 1, np.array([1]), np.ones(1, np.float32), {"tiles": 1}, [], {}, store)


def found_with_view(window, label):
    click(window, middle(window, label))
    press(window, window.panel.find.run.start)
    settle(window)


def wait_for_run(window):
    window.wait(lambda: not window.dock.find.everywhere.run.is_running)
    window.qtbot.wait(100)


def test_all_images_of_a_folder_are_searched_and_an_interrupted_run_continues(page, monkeypatch, tmp_path):
    calls = []

    def find_in_images(images, concept, folder, predictor, **kwargs):
        calls.append(folder)
        kwargs["progress"](1, 2)
        if len(calls) == 1:
            while not kwargs["cancelled"]():
                threading.Event().wait(0.01)
            raise CancelledError("cancelled")
        folder.mkdir()
        bad = ImageError("it is damaged")
        return [ImageResult("a.tif", folder / "a", 7), ImageResult("b.tif", folder / "b", error=bad)]

    monkeypatch.setattr("napari_sam.jobs.find.find_in_images.find_in_images", find_in_images)
    monkeypatch.setattr(find_everywhere.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    found_with_view(page, whole(page, even=True)[0])
    panel = page.panel.find
    panel.name.setText("a/b")
    panel.where.setCurrentIndex(panel.where.findData(FOLDER))
    press(page, panel.run.start)
    page.wait(lambda: panel.run.progress.format() == "1 of 2 images")
    press(page, panel.run.cancel)
    wait_for_run(page)
    assert "continue" in panel.run.message.text()
    for _ in range(2):
        press(page, panel.run.start)
        wait_for_run(page)
    assert "Found 7 objects in 2 images" in panel.run.message.text()
    assert "b.tif: it is damaged" in panel.run.message.text()
    assert calls == [tmp_path / "found a_b", tmp_path / "found a_b", tmp_path / "found a_b 2"]
    assert page.errors == []


def test_an_object_that_only_the_model_sees_is_an_example_and_finds_others(window, nuclei):
    """The whole way with the real engine."""
    part = (slice(40, 240), slice(80, 320))
    window.layer = window.show(nuclei[0][part], name="nuclei")
    window.truth = np.ascontiguousarray(nuclei[1][part]).astype(np.int32)
    go_to(window, FIND)
    click(window, middle(window, whole(window)[0]))
    assert window.dock.find.search.choices.counts == (1, 0)
    search_all(window)
    ranking = window.dock.find.search.ranking
    assert len(ranking.candidates) > 1
    assert ranking.concept.examples == (1, 0)
    assert window.dock.find.search.results().any()
    window.key("C")
    settle(window)
    assert len(window.writer.store) > 0
    assert window.errors == []
