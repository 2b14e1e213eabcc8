"""The report of a suite: every number with its n and interval, the figures, and what made them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import shlex
import time
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam import __version__
from napari_sam.errors import StoreError
from napari_sam.evaluation.experiments.experiment import OVERALL, Experiment
from napari_sam.evaluation.experiments.whole_images import ExternalLabelExperiment
from napari_sam.evaluation.metrics.bootstrap import paired_difference
from napari_sam.evaluation.report import figures
from napari_sam.evaluation.report.group_table import POINT_COUNTS, group_table, overlap_sentence, plus_minus
from napari_sam.evaluation.report.page import Heading, Page, Paragraph, Picture, Table
from napari_sam.evaluation.report.result_tables import format_interval, short_tables, write_records, write_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_sam.evaluation.experiments.experiment import Estimate, Record, SampleResult
    from napari_sam.evaluation.report.group_table import GroupRow
    from napari_sam.evaluation.report.result_tables import ShortTable
    from napari_sam.evaluation.runs.experiment_runner import MeasurementResults
    from napari_sam.evaluation.runs.model_spec import ModelSpec

_SHARED = {"baselines": "points", "edge baselines": "edges", "labels of others": "everything"}
"""Experiments whose rows stand in the table of another."""

_ORDER = ("points", "edges", "proposals", "instances", "everything", "text", "data")
_SCALARS = {
    "points": (("center", "IoU@1"), ("center", "IoU@3"), ("random", "IoU@1"), ("box", "IoU"), ("box + 1 point", "IoU")),
    "proposals": (("multimask, all", "AR@1000"),),
    "instances": (("refined", "IoU"),),
    "everything": (("whole image", "mSA"), ("whole image", "PQ")),
    "edges": (("boundaries", "best F"),),
    "text": (("text", "IoU"),),
}
"""What models are compared by, object by object or image by image."""

_ABOUT = {
    "points": "The first point lies deepest in the object, each further one deepest in the error; the mask with the "
    "highest score counts, `oracle` is the best of three. NoC is the number of clicks to reach an IoU of "
    "0.85 or 0.90, all clicks where it is never reached. `iou error` is the mean absolute error of the "
    "predicted IoU after one click.",
    "edges": "Berkeley's benchmark: masks of a grid of points, the gradient of their probabilities, non-maximum "
    "suppression; one-to-one matching within 0.75 % of the diagonal at 99 thresholds.",
    "proposals": "Average recall of the 1000 best masks of a grid of points, over IoU 0.50 to 0.95, whatever their "
    "category; ranked by the mean of predicted IoU and stability. `AR single` uses the single mask of "
    "each point.",
    "instances": "COCO's average precision of masks from boxes, once more asked with box and mask (`refined`); `one "
    "pass AP` without that. The boxes are the detector's, or the objects' own, which shows what masks "
    "alone lose.",
    "everything": "All objects of whole images: TP / (TP + FP + FN) averaged over IoU 0.50 to 0.95 (mSA) and at 0.5 "
    "and 0.75 (AP50, AP75), F1 and panoptic quality at 0.5, the Cell Tracking Challenge's SEG. Where data "
    "label only some of the objects to be seen, the others count as wrong.",
    "text": "Masks from phrases, and with a click where they miss the object.",
    "data": "What the images hold: masks per image, root of a mask's share of its image, one minus a mask's share "
    "of its convex hull.",
}


@dataclass
class EvaluationSuite:
    """Everything that a run measured, and what is made of it.

    Attributes
    ----------
    experiments : list of Experiment
        Which.
    models : list of Model
        Networks.
    measured : Measured
        What was measured.
    seed : int
        Of the run.
    columns : list of str
        Grouping columns.
    about : dict
        What else to say: command, data.
    """

    experiments: list[Experiment]
    models: list[ModelSpec]
    measured: MeasurementResults
    seed: int = 0
    columns: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Work out all numbers once."""
        self.estimates: dict[str, list[Estimate]] = {}
        for experiment, answering, units in self._parts():
            name = _SHARED.get(experiment.name, experiment.name)
            self.estimates.setdefault(name, []).extend(
                experiment.summary(units, answering or experiment.title, self.seed)
            )
        self.groups: dict[str, list[GroupRow]] = {}
        for model in self.models:
            units = self.measured.units.get(("points", model.name), [])
            if units and self.columns:
                self.groups[model.name] = group_table(units, self.columns, seed=self.seed)

    def _parts(self) -> Iterator[tuple[Experiment, str, list[SampleResult]]]:
        for experiment in self.experiments:
            for model in [one.name for one in self.models] if experiment.needs_model else [""]:
                units = self.measured.units.get((experiment.id, model))
                if units:
                    yield experiment, model, units

    def records(self) -> Iterator[tuple[str, str, Record]]:
        """All values of all experiments, with the experiment's name and the model's."""
        for experiment, model, units in self._parts():
            for one in experiment.records(units, model or experiment.title):
                yield experiment.name, model, one

    def summary(self) -> list[tuple[str, Estimate]]:
        """All numbers, with the name of their experiment."""
        return [(name, one) for name, some in self.estimates.items() for one in some]

    def differences(self) -> list[dict[str, Any]]:
        """Every pair of models and other programs, number by number, on the same objects or images."""
        values: dict[tuple[str, str, str], dict[str, dict[tuple[str, str, int], float]]] = {}
        for name, _, one in self.records():
            shown = _SHARED.get(name, name)
            if (one.protocol, one.metric) in _SCALARS.get(shown, ()) and one.method in self.compared:
                place = (one.dataset, one.sample, one.object)
                values.setdefault((shown, one.protocol, one.metric), {}).setdefault(one.method, {})[place] = one.value
        return [
            {"experiment": name, "protocol": protocol, "metric": metric, **self._difference(a, b, by_method)}
            for (name, protocol, metric), by_method in values.items()
            for a, b in combinations([one for one in self.compared if one in by_method], 2)
            if by_method[a].keys() & by_method[b].keys()
        ]

    @property
    def compared(self) -> list[str]:
        """Names of the models and of other programs whose results were given."""
        tools = [one.tool for one in self.experiments if isinstance(one, ExternalLabelExperiment)]
        return [*(one.name for one in self.models), *tools]

    def _difference(
        self, a: str, b: str, values: dict[str, dict[tuple[str, str, int], float]]
    ) -> dict[str, str | float | int]:
        both = [k for k in values[a] if k in values[b] and not math.isnan(values[a][k] + values[b][k])]
        images = [f"{k[0]}/{k[1]}" for k in both]
        found = paired_difference([values[a][k] for k in both], [values[b][k] for k in both], images, seed=self.seed)
        return {
            "first": a,
            "second": b,
            "difference": found.interval.value,
            "low": found.interval.low,
            "high": found.interval.high,
            "share of resamples in which the first is better": found.better,
            "p (paired t test over images)": found.p_value,
            "n": found.interval.n,
            "images": found.interval.images,
        }

    def write(self, folder: Path, title: str) -> list[Path]:
        """Write report.html, report.md with pictures, summary.csv, records.csv and, with pyarrow, records.parquet.

        Parameters
        ----------
        folder : Path
            Where.
        title : str
            Of the report.

        Returns
        -------
        list of Path
            What was written.

        Raises
        ------
        StoreError
            If it cannot be written.
        EvaluationError
            If matplotlib is missing.
        """
        paths = self.page(title).write(folder)
        write_summary(folder / "summary.csv", self.summary())
        write_records(folder / "records.csv", self.records())
        paths += [folder / "summary.csv", folder / "records.csv"]
        if importlib.util.find_spec("pyarrow") is not None:
            write_records(folder / "records.parquet", self.records())
            paths.append(folder / "records.parquet")
        try:
            (folder / "about.json").write_text(json.dumps({**machine(), **self.about}, indent=1), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{folder}: about.json cannot be written: {error}; is the disk full?") from error
        return [*paths, folder / "about.json"]

    # ---- the page -----------------------------------------------------------------------------------------

    def page(self, title: str) -> Page:
        """The report."""
        page = Page(title)
        page.add(Paragraph(self._made_by()))
        page.add(
            Paragraph(
                "Figures and tables are named as in the Segment Anything paper (Kirillov et al., 2023). Numbers are "
                "means per object, then over data sets; brackets are 95 % intervals by bootstrap over "
                "images (2000 resamples), within each data set. A data set of one image has none, and counts as "
                "fixed in the mean, and intervals from few images (under five) are too narrow."
            )
        )
        for name in _ORDER:
            if name in self.estimates:
                self._add_experiment(page, name)
        for model, rows in self.groups.items():
            _add_groups(page, model, rows)
        if len(self.compared) > 1:
            self._add_comparison(page)
        return page

    def _add_experiment(self, page: Page, name: str) -> None:
        title = next(e.title for e in self.experiments if e.name == name or _SHARED.get(e.name) == name)
        page.add(Heading(title), Paragraph(_ABOUT[name]))
        page.add(*self._pictures(name))
        tables = short_tables(name, self.estimates[name])
        if len(tables) > 1:
            page.add(_side_by_side(tables))
        for table in tables:
            rows = []
            for dataset, cells in table.rows.items():
                first = next(iter(cells.values()))
                values = [format_interval(cells[h]) if h in cells else "-" for h in table.headings]
                rows.append([dataset, str(first.n), str(first.images), *values])
            page.add(Heading(f"{title}: {table.method}", 3))
            page.add(Table(["data set", "n", "images", *table.headings], rows, OVERALL in table.rows))

    def _pictures(self, name: str) -> list[Picture]:
        estimates = self.estimates[name]
        if name == "points":
            bars = figures.data_set_bars(
                estimates, "center", "IoU@1", circles="oracle@1", title="one click at the centre"
            )
            return [
                Picture(
                    "points_curves",
                    figures.point_curves(estimates),
                    "Mean IoU over the number of points (Figure 9 c, d)",
                ),
                Picture("points_sets", bars, "One click, by data set; circles: the best of three masks (Figure 9 a)"),
            ]
        if name == "edges":
            return [Picture("edges", figures.edge_curves(self._edge_counts()), "Precision and recall of boundaries")]
        if name == "proposals":
            bars = figures.data_set_bars(estimates, "multimask, all", "AR@1000", title="proposals")
            return [Picture("proposals", bars, "Average recall of 1000 proposals, by data set")]
        if name == "instances":
            bars = figures.data_set_bars(
                [*_only(estimates, "refined"), *_renamed(estimates)], "refined", "AP", title="AP"
            )
            return [Picture("instances", bars, "Average precision of masks from boxes; the filled box for comparison")]
        if name == "everything":
            bars = figures.data_set_bars(estimates, "whole image", "mSA", circles="AP50", title="everything")
            return [Picture("everything", bars, "mSA of whole images, by data set; circles: AP50")]
        if name == "data":
            units = self.measured.units["data", ""]
            out = [
                Picture("centers", figures.centers(units), "Where mask centres lie (Figure 5)"),
                Picture(
                    "masks",
                    figures.mask_properties(units),
                    "Masks per image, size and concavity (Figure 6): median, quartiles, 5 to 95 %",
                ),
            ]
            world = figures.positions(units)
            return out if world is None else [*out, Picture("world", world, "Where images were taken (Figure 7)")]
        return []

    def _edge_counts(self) -> dict[str, Any]:
        out = {}
        for experiment, model, units in self._parts():
            if experiment.kind == "boundaries":
                for key in units[0].payload:
                    out[model or key] = np.array([one.payload[key] for one in units])
        return out

    def _add_comparison(self, page: Page) -> None:
        page.add(
            Heading("Models compared"),
            Paragraph(
                "Differences on the same objects or images, paired; intervals by bootstrap over images. `first better` "
                "is the share of resamples in which the first is; p is that of a paired t test on the images' means."
            ),
        )
        if self.measured.parameters:
            sizes = [[name, f"{size / 1e6:.1f} million"] for name, size in self.measured.parameters.items()]
            page.add(Table(["model", "parameters"], sizes))
            if "points" in self.estimates:
                drawn = figures.model_sizes(self.estimates["points"], self.measured.parameters)
                page.add(Picture("sizes", drawn, "Mean IoU over the size of the network (Figure 13)"))
        rows = [
            [
                f"{one['experiment']}: {one['protocol']}, {one['metric']}",
                f"{one['first']} - {one['second']}",
                f"{one['difference']:+.3f}"
                + ("" if math.isnan(one["low"]) else f" [{one['low']:+.3f}, {one['high']:+.3f}]"),
                "undefined"
                if math.isnan(one["low"])
                else f"{one['share of resamples in which the first is better']:.3f}",
                "undefined" if math.isnan(one["low"]) else f"{one['p (paired t test over images)']:.2g}",
                str(one["n"]),
                str(one["images"]),
            ]
            for one in self.differences()
        ]
        headings = ["number", "models", "difference", "first better", "p", "n", "images"]
        page.add(Table(headings, rows))

    def _made_by(self) -> str:
        made = machine()
        used = ", ".join(f"{name} {made['packages'][name]}" for name in sorted(made["packages"]))
        seconds = sum(self.measured.seconds.values())
        models = ", ".join(f"{one.name} ({one.source})" if one.name != one.source else one.name for one in self.models)
        return (
            f"Made by `{self.about.get('command', 'napari-sam evaluate')}` on {made['date']}; models: "
            f"{models or 'none'}; seed {self.seed}; data: {self.about.get('data', '?')}. Machine: {made['processor']}, "
            f"{made['cores']} cores, {made['system']}, {made['accelerator']}; Python {made['python']}, "
            f"napari-sam-xl {made['version']}, {used}. Measuring took {seconds:.0f} s, added up over "
            "processes."
        )


def _side_by_side(tables: Sequence[ShortTable]) -> Table:
    """All methods, over all data sets or the only one."""
    headings = list(dict.fromkeys(h for one in tables for h in one.headings))
    rows = []
    for one in tables:
        cells = list(one.rows.values())[-1]
        rows.append([one.method, *(format_interval(cells[h]) if h in cells else "-" for h in headings)])
    return Table([list(tables[0].rows)[-1], *headings], rows)


def _only(estimates: Sequence[Estimate], protocol: str) -> list[Estimate]:
    return [one for one in estimates if one.protocol == protocol]


def _renamed(estimates: Sequence[Estimate]) -> list[Estimate]:
    """The filled box beside the models."""
    return [replace(one, protocol="refined") for one in estimates if one.protocol == "box filled"]


def _add_groups(page: Page, model: str, rows: list[GroupRow]) -> None:
    page.add(
        Heading(f"Groups: {model}"),
        Paragraph("Mean IoU in percent at random points with 95 % intervals: the paper's Table 2."),
        Picture(f"groups_{model}".replace("/", "_"), figures.group_intervals(rows), f"Mean IoU by group, {model}"),
    )
    for column in dict.fromkeys(one.column for one in rows):
        table = []
        for one in rows:
            if one.column == column:
                first = next(iter(one.by_points.values()))
                values = [plus_minus(one.by_points[n]) if n in one.by_points else "-" for n in POINT_COUNTS]
                table.append([one.group, *values, str(first.n), str(first.images)])
        page.add(
            Table([column, "1 point", "3 points", "n", "images"], table), Paragraph(overlap_sentence(rows, column))
        )


def machine() -> dict[str, Any]:
    """What this computer and its software are."""
    import torch  # noqa: PLC0415 - slow to import

    cuda = torch.cuda.is_available()
    packages = {}
    for name in ("torch", "numpy", "scipy", "scikit-image", "pycocotools", "opencv-python-headless"):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "accelerator": torch.cuda.get_device_name() if cuda else "no GPU",
        "python": platform.python_version(),
        "version": __version__,
        "packages": packages,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def command_line(argv: Sequence[str]) -> str:
    """A command as it can be typed again."""
    return shlex.join(["napari-sam", *argv])
