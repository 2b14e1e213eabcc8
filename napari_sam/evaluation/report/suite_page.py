"""The page of a report: every estimate with its n and interval, the figures, and how they were made."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.evaluation.experiments.experiment import OVERALL
from napari_sam.evaluation.report import composition_figures, figures
from napari_sam.evaluation.report.evaluation_suite import table_name
from napari_sam.evaluation.report.group_table import overlap_sentence, point_cells
from napari_sam.evaluation.report.machine_info import machine_info
from napari_sam.evaluation.report.page import Heading, Page, Paragraph, Picture, Table
from napari_sam.evaluation.report.result_tables import format_interval, short_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite, ModelDifference
    from napari_sam.evaluation.report.group_table import GroupRow
    from napari_sam.evaluation.report.result_tables import ShortTable

_INTRODUCTION = (
    "Figures and tables are named as in the Segment Anything paper (Kirillov et al., 2023). Numbers are means over "
    "objects, then over data sets; brackets are 95 % intervals by bootstrap over images (2000 resamples) within each "
    "data set. A data set of one image has no interval and counts as fixed in the mean; intervals from fewer than five "
    "images are too narrow."
)

_DESCRIPTIONS = {
    "points": "The first point lies farthest from the border of the object, each further one farthest from the border "
    "of the error. The mask with the highest score counts; `oracle` is the best of three. NoC is the number of clicks "
    "to reach an IoU of 0.85 or 0.90, or all clicks if it is never reached. `iou error` is the mean absolute error of "
    "the predicted IoU after one click.",
    "edges": "Berkeley's benchmark: masks of a grid of points, the gradient of their probabilities, non-maximum "
    "suppression; one-to-one matching within 0.75 % of the diagonal at 99 thresholds.",
    "proposals": "Average recall of the 1000 best masks of a grid of points, over IoU 0.50 to 0.95, regardless of "
    "their category, ranked by the mean of predicted IoU and stability score. `AR single` uses the single mask of each "
    "point.",
    "instances": "COCO's average precision of masks from boxes, predicted again from box and mask (`refined`); `one "
    "pass AP` is without the second pass. The boxes are the detector's, or the objects' own, which shows what the "
    "masks alone lose.",
    "everything": "All objects of whole images: TP / (TP + FP + FN) averaged over IoU 0.50 to 0.95 (mSA) and at 0.5 "
    "and 0.75 (AP50, AP75), F1 and panoptic quality at 0.5, the Cell Tracking Challenge's SEG. In data that label only "
    "some of the visible objects, masks of the others count as wrong.",
    "volumes": "One click at the centre of an object on its middle plane. `IoU 3-D` is that of the object followed "
    "through the volume, `same click` that of the same click on every plane, joined while the masks overlap, and "
    "`stitched` that of all objects of every plane, joined where they overlap. `4 planes off` is the IoU on single "
    "planes at that distance from the click. Clicks that correct the plane with the largest error are counted up to "
    "an IoU of 0.85 (`NoC85`); `corrected` is the IoU after them.",
    "volumes everything": "All objects of whole volumes, matched in three dimensions; measures as for whole images. "
    "`stitched` joins the objects of neighbouring planes where they overlap.",
    "tracking": "One click on the first frame of an object: region similarity J and boundary accuracy F of DAVIS on "
    "the frames after it. Frames in which only the true or only the followed object is count as zero.",
    "tracking everything": "The Cell Tracking Challenge's measures of all objects of movies: SEG, DET, TRA, LNK, and "
    "F1 of divisions. `stitched` joins the objects of neighbouring frames where they overlap.",
    "text": "Masks from phrases, and with a click if they miss the object.",
    "data": "The contents of the images: masks per image, square root of a mask's share of its image, one minus a "
    "mask's share of its convex hull.",
}
"""A paragraph on each table, in the order of the page."""


def build_page(suite: EvaluationSuite, title: str) -> Page:
    """Return the report of a suite."""
    page = Page(title)
    page.add(Paragraph(_provenance(suite)), Paragraph(_INTRODUCTION))
    for name, description in _DESCRIPTIONS.items():
        if name in suite.estimates:
            _add_experiment(page, suite, name, description)
    for model, rows in suite.groups.items():
        _add_group_table(page, model, rows)
    if len(suite.compared) > 1:
        _add_comparison(page, suite)
    return page


def _provenance(suite: EvaluationSuite) -> str:
    """Return a paragraph on command, models, data, machine and time."""
    machine = machine_info()
    packages = ", ".join(f"{name} {version}" for name, version in sorted(machine["packages"].items()))
    seconds = sum(suite.measured.seconds.values())
    command = str(suite.about.get("command", "napari-sam evaluate")).replace("`", "'")
    models = ", ".join(f"{s.name} ({s.source})" if s.name != s.source else s.name for s in suite.models)
    return (
        f"Made by `{command}` on {machine['date']}; models: "
        f"{models or 'none'}; seed {suite.seed}; data: {suite.about.get('data', '?')}. "
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['accelerator']}; "
        f"Python {machine['python']}, napari-sam-xl {machine['version']}, {packages}. "
        f"Measuring took {seconds:.0f} s, summed over processes."
    )


def _add_experiment(page: Page, suite: EvaluationSuite, name: str, description: str) -> None:
    title = next(experiment.title for experiment in suite.experiments if table_name(experiment) == name)
    page.add(Heading(title), Paragraph(description))
    if name in _PICTURES:
        page.add(*_PICTURES[name](suite))
    tables = short_tables(name, suite.estimates[name])
    if len(tables) > 1:
        page.add(_side_by_side(tables))
    for table in tables:
        page.add(Heading(f"{title}: {table.method}", 3))
        headings = ["data set", "n", "images", *table.headings]
        page.add(Table(headings, table.interval_rows(), OVERALL in table.rows))


def _side_by_side(tables: Sequence[ShortTable]) -> Table:
    """Return a table of all methods, over all data sets or of the only one."""
    headings = list(dict.fromkeys(heading for table in tables for heading in table.headings))
    rows = []
    for table in tables:
        cells = list(table.rows.values())[-1]
        rows.append([table.method, *(format_interval(cells[h]) if h in cells else "-" for h in headings)])
    return Table([list(tables[0].rows)[-1], *headings], rows)


def _point_pictures(suite: EvaluationSuite) -> list[Picture]:
    estimates = suite.estimates["points"]
    bars = figures.data_set_bars(estimates, "center", "IoU@1", circles="oracle@1", title="one click at the centre")
    curves = figures.point_curves(estimates)
    return [
        Picture("points_curves", curves, "Mean IoU over the number of points (Figure 9 c, d)"),
        Picture("points_sets", bars, "One click, by data set; circles: the best of three masks (Figure 9 a)"),
    ]


def _edge_pictures(suite: EvaluationSuite) -> list[Picture]:
    counts: dict[str, NDArray[np.int64]] = {}
    for experiment, model, results in suite.parts():
        if experiment.kind == "boundaries":
            for key in results[0].payload:
                counts[model or key] = np.array([result.payload[key] for result in results])
    return [Picture("edges", figures.edge_curves(counts), "Precision and recall of boundaries")]


def _proposal_pictures(suite: EvaluationSuite) -> list[Picture]:
    bars = figures.data_set_bars(suite.estimates["proposals"], "multimask, all", "AR@1000", title="proposals")
    return [Picture("proposals", bars, "Average recall of 1000 proposals, by data set")]


def _instance_pictures(suite: EvaluationSuite) -> list[Picture]:
    estimates = suite.estimates["instances"]
    refined = [e for e in estimates if e.protocol == "refined"]
    filled_boxes = [replace(e, protocol="refined") for e in estimates if e.protocol == "box filled"]
    bars = figures.data_set_bars([*refined, *filled_boxes], "refined", "AP", title="AP")
    return [Picture("instances", bars, "Average precision of masks from boxes; the filled box for comparison")]


def _everything_pictures(suite: EvaluationSuite) -> list[Picture]:
    estimates = suite.estimates["everything"]
    bars = figures.data_set_bars(estimates, "whole image", "mSA", circles="AP50", title="everything")
    return [Picture("everything", bars, "mSA of whole images, by data set; circles: AP50")]


def _composition_pictures(suite: EvaluationSuite) -> list[Picture]:
    results = suite.measured.results["data", ""]
    pictures = [
        Picture("centers", composition_figures.mask_centers(results), "Where mask centres lie (Figure 5)"),
        Picture(
            "masks",
            composition_figures.mask_properties(results),
            "Masks per image, size and concavity (Figure 6): median, quartiles, 5 to 95 %",
        ),
    ]
    positions = composition_figures.image_positions(results)
    if positions is not None:
        pictures.append(Picture("world", positions, "Where images were taken (Figure 7)"))
    return pictures


def _volume_pictures(suite: EvaluationSuite) -> list[Picture]:
    estimates = suite.estimates["volumes"]
    bars = figures.data_set_bars(estimates, "followed", "IoU", title="one click on the middle plane")
    curves = figures.distance_curves(estimates)
    return [
        Picture("volumes_sets", bars, "IoU in three dimensions from one click, by data set"),
        Picture("volumes_distance", curves, "IoU on single planes, by their distance from the clicked plane"),
    ]


_PICTURES: dict[str, Callable[[EvaluationSuite], list[Picture]]] = {
    "points": _point_pictures,
    "edges": _edge_pictures,
    "proposals": _proposal_pictures,
    "instances": _instance_pictures,
    "everything": _everything_pictures,
    "volumes": _volume_pictures,
    "data": _composition_pictures,
}


def _add_group_table(page: Page, model: str, rows: Sequence[GroupRow]) -> None:
    page.add(
        Heading(f"Groups: {model}"),
        Paragraph("Mean IoU in percent at random points with 95 % intervals, as in the paper's Table 2."),
        Picture(f"groups_{model}".replace("/", "_"), figures.group_intervals(rows), f"Mean IoU by group, {model}"),
    )
    for column in dict.fromkeys(row.column for row in rows):
        table = [
            [row.group, *point_cells(row), str(row.first.n), str(row.first.images)]
            for row in rows
            if row.column == column
        ]
        page.add(
            Table([column, "1 point", "3 points", "n", "images"], table), Paragraph(overlap_sentence(rows, column))
        )


def _add_comparison(page: Page, suite: EvaluationSuite) -> None:
    page.add(
        Heading("Models compared"),
        Paragraph(
            "Paired differences on the same objects or images, with intervals by bootstrap over images. `first better` "
            "is the share of resamples in which the first model is better; p is that of a paired t test on the means "
            "of images."
        ),
    )
    parameters = suite.measured.parameters
    if parameters:
        page.add(
            Table(["model", "parameters"], [[name, f"{size / 1e6:.1f} million"] for name, size in parameters.items()])
        )
        if "points" in suite.estimates:
            sizes = figures.model_sizes(suite.estimates["points"], parameters)
            page.add(Picture("sizes", sizes, "Mean IoU over the size of the network (Figure 13)"))
    headings = ["number", "models", "difference", "first better", "p", "n", "images"]
    page.add(Table(headings, [_difference_row(difference) for difference in suite.differences()]))


def _difference_row(compared: ModelDifference) -> list[str]:
    difference = compared.difference
    interval = difference.interval
    if math.isnan(interval.low):
        numbers = [f"{interval.value:+.3f}", "undefined", "undefined"]
    else:
        numbers = [
            f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]",
            f"{difference.better:.3f}",
            f"{difference.p_value:.2g}",
        ]
    return [
        f"{compared.experiment}: {compared.protocol}, {compared.metric}",
        f"{compared.first} - {compared.second}",
        *numbers,
        str(interval.n),
        str(interval.images),
    ]
