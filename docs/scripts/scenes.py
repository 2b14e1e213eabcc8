"""What the pictures of the documentation show: one function for each, named as the picture."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_dilation
from shot_window import ShotWindow

from napari_sam import samples
from napari_sam.widgets.dock_panel import EVERYTHING, FIND, OBJECTS, PROJECT, REFINE, REVIEW

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from napari.layers import Layer
    from numpy.typing import NDArray

STACK = Path(__file__).resolve().parents[3] / "shared" / "stacks" / "volumes" / "dev" / "fib_medulla.image.tif"
"""EM stack of the picture `stack`, beside the repository."""
_CLICKS = ((122, 182), (278, 370), (299, 269), (112, 233), (365, 277))


def _nuclei(window: ShotWindow, *, is_near: bool = False) -> Layer:
    """Open the sample image; near the nuclei that are clicked, or all of it."""
    layer = window.show(samples.nuclei(), name="nuclei", contrast_limits=(0, 160))
    if is_near:
        window.viewer.camera.center, window.viewer.camera.zoom = (240, 280), 1.5
        window.settle()
    return layer


def _coarse(truth: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return labels that are too large, as a careless program makes them."""
    grown = np.zeros(truth.shape, np.int32)
    for label in range(1, int(truth.max()) + 1):
        grown[binary_dilation(truth == label, iterations=5) & (grown == 0)] = label
    return grown


def _found_everywhere() -> ShotWindow:
    """Return a window in which all nuclei are found and saved."""
    window = ShotWindow()
    _nuclei(window)
    window.open_page(EVERYTHING)
    everything = window.dock.everything
    window.run(window.dock.panel.everything.run, lambda: everything.run.is_running)
    return window


def start() -> ShotWindow:
    """Show the dock before the first click."""
    window = ShotWindow()
    _nuclei(window, is_near=True)
    return window


def click() -> ShotWindow:
    """Show five saved nuclei and the mask of a sixth."""
    window = ShotWindow()
    layer = _nuclei(window, is_near=True)
    for spot in _CLICKS:
        window.predict(layer, spot)
        window.key("C")
        window.settle()
    window.predict(layer, (112, 290))
    return window


def boxes() -> ShotWindow:
    """Show boxes around nuclei, each with its mask."""
    window = ShotWindow()
    layer = _nuclei(window, is_near=True)
    window.dock.panel.click.batch.setChecked(True)
    window.key("R")
    truth = samples.nuclei_labels()
    for y, x in _CLICKS:
        rows, columns = np.nonzero(truth == truth[y, x])
        window.drag(layer, (rows.min() - 3, columns.min() - 3), (rows.max() + 3, columns.max() + 3))
    window.settle()
    page = window.dock.click
    window.wait(lambda: page.answer is not None and len(page.answer.predictions) == len(_CLICKS))
    return window


def everything() -> ShotWindow:
    """Show all nuclei in view, found at once."""
    return _found_everywhere()


def review() -> ShotWindow:
    """Show the least certain nucleus."""
    window = _found_everywhere()
    window.open_page(REVIEW)
    window.pause(1)
    return window


def objects() -> ShotWindow:
    """Show nuclei with classes, and those selected by their size."""
    window = _found_everywhere()
    window.open_page(OBJECTS)
    page, panel = window.dock.objects, window.dock.panel.objects
    for name, condition in (("large nucleus", "area_px >= 1500"), ("small nucleus", "area_px < 1500")):
        panel.where.setText(condition)
        panel.select.click()
        window.wait(lambda: page.selected.ordered and not page.jobs.is_busy)
        page.palette.add_named(name)
        window.settle()
        key = len(window.dock.labels.store_layers.store.classes)
        window.key(str(key))
        window.settle()
    panel.where.setText("area_px > 1800 and not touches_border")
    panel.select.click()
    window.settle()
    return window


def plot() -> ShotWindow:
    """Show nuclei by area and shape, and those selected in the plot by a box."""
    from napari_sam.layers.objects.selection_band import Combine

    window = _found_everywhere()
    window.open_page(OBJECTS)
    window.dock.panel.objects.plot.click()
    view = window.dock.objects.plot.view
    view.plot("area_px", "solidity")
    window.wait(lambda: view.canvas is not None and view.canvas.is_scatter and view.canvas.band.height() > 1)
    window.pause(1)
    (left, top), (right, bottom) = view.canvas.positions().min(axis=0), view.canvas.positions().max(axis=0)
    middle = (left + right) / 2
    box = [(middle, top - 3), (right + 3, top - 3), (right + 3, bottom + 3), (middle, bottom + 3)]
    view.canvas.band.drawn.emit(np.array(box), Combine.REPLACE)
    window.settle()
    return window


def find_page() -> ShotWindow:
    """Show all nuclei found by one example, with their scores."""
    window = ShotWindow()
    layer = _nuclei(window)
    window.open_page(FIND)
    find = window.dock.find
    window.click(layer, _CLICKS[0])
    window.wait(lambda: find.search.has_examples and not find.jobs.busy)
    window.dock.panel.find.name.setText("nucleus")
    window.dock.panel.find.run.start.click()
    window.wait(lambda: find.search.ranking is not None and not find.jobs.busy)
    window.settle()
    return window


def refine() -> ShotWindow:
    """Show labels of another program, drawn anew."""
    window = ShotWindow()
    _nuclei(window)
    crude = window.viewer.add_labels(_coarse(samples.nuclei_labels()), name="other program")
    window.open_page(REFINE)
    combo = window.dock.panel.refine.source
    combo.setCurrentIndex(next(i for i in range(combo.count()) if combo.itemData(i) is crude))
    window.pause()
    window.run(window.dock.panel.refine.run, lambda: window.dock.refine.run.is_running)
    crude.contour, crude.visible = 1, True
    window.settle()
    return window


def stack() -> ShotWindow | None:
    """Show an object of an EM stack, followed through its planes, at its weakest plane."""
    if not STACK.is_file():
        return None
    import tifffile

    window = ShotWindow((1340, 980))
    layer = window.show(tifffile.imread(STACK)[:20], name="fib_medulla", axis_labels=("z", "y", "x"))
    window.viewer.dims.set_point(0, 10)
    window.settle()
    window.predict(layer, (10, 20, 110))
    window.key("G")
    followed = window.dock.click.stack
    window.wait(lambda: followed.in_hand is not None)
    window.settle()
    window.key("W")
    window.settle()
    return window


def rating() -> ShotWindow:
    """Show a mask of a blind rating study."""
    import tifffile

    from napari_sam.evaluation.datasets.dataset_formats import find_samples
    from napari_sam.evaluation.rating.study_preparation import prepare_study
    from napari_sam.evaluation.runs.model_spec import ModelSpec
    from napari_sam.widgets.rating_widget import RatingWidget

    folder = Path(tempfile.mkdtemp())
    tifffile.imwrite(folder / "nuclei.image.tif", samples.nuclei())
    tifffile.imwrite(folder / "nuclei.labels.tif", samples.nuclei_labels())
    study = prepare_study(folder / "study", find_samples(folder), [ModelSpec("default", "default")], 3)
    window = ShotWindow((1200, 800), has_dock=False)
    widget = RatingWidget(window.viewer, study, "ada")
    window.viewer.window.add_dock_widget(widget, name="Rate masks", area="right")
    window.pause(1)
    return window


def project() -> ShotWindow:
    """Show a project of four images, the first of them open."""
    from PIL import Image

    import napari_sam as ns

    folder = Path(tempfile.mkdtemp())
    for number, (y, x) in enumerate(((0, 100), (0, 320), (230, 100), (230, 320)), start=1):
        pixels = np.clip(samples.nuclei()[y : y + 260, x : x + 300] * 1.6, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"well{number}.png")
    made = ns.Project.create(folder / "screen", user="Ada")
    made.add(folder / "*.png")
    made.images()[1].state = "done"
    window = ShotWindow((1300, 1130))  # the whole page
    window.open_page(PROJECT)
    page = window.dock.project
    page.open_project(str(made.path))
    window.wait(lambda: len(window.dock.panel.project.list.rows.ids) == len(made))
    page.open_image(made.images()[0].image_id)
    window.wait(lambda: window.dock.images.layer is not None)
    window.settle()
    window.wait(lambda: not (page.jobs.busy or page.listing.busy or page.adding.is_running))
    return window


class Drawing:
    """A figure of matplotlib that is saved and closed as a window is."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def save(self, path: Path) -> None:
        """Write the figure."""
        self._figure.savefig(path, dpi=100)

    def close(self) -> None:
        """Close the figure."""
        from matplotlib import pyplot

        pyplot.close(self._figure)


def find() -> Drawing:
    """Draw one nucleus as the example, and all nuclei found by it."""
    from matplotlib import colormaps, pyplot
    from skimage.segmentation import find_boundaries

    import napari_sam as ns

    pixels = samples.nuclei()
    predictor = ns.Predictor()
    predictor.set_image(pixels)
    example = predictor.predict(points=[_CLICKS[0]])
    concept = ns.Concept.from_masks(pixels, [(example.mask, example.bbox)], predictor=predictor, name="nucleus")
    report = ns.find(pixels, concept, predictor)
    with report.labels as store:
        found, table = np.asarray(store.array[:]), store.table()
    grey = np.repeat(np.clip(pixels / 160, 0, 1)[..., None], 3, 2)
    y0, x0, y1, x1 = example.bbox
    outline = np.zeros(pixels.shape, bool)
    outline[y0:y1, x0:x1] = example.mask
    outline = binary_dilation(find_boundaries(outline))
    coloured = grey.copy()
    for label, score in zip(table["label"], table["predicted_iou"], strict=True):
        colour = colormaps["viridis"]((score - 0.4) / 0.6)[:3]
        coloured[found == label] = 0.35 * grey[found == label] + 0.65 * np.asarray(colour)
    figure, axes = pyplot.subplots(1, 2, figsize=(8.1, 3.2), layout="constrained")
    for axis, picture, title in zip(
        axes, (grey, coloured), ("one example", f"{len(table)} objects found"), strict=True
    ):
        picture[outline] = (1, 0.65, 0)
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    shades = pyplot.cm.ScalarMappable(pyplot.Normalize(0.4, 1), "viridis")
    figure.colorbar(shades, ax=axes[1], label="score", shrink=0.9)
    return Drawing(figure)
