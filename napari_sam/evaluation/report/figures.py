"""The paper's figures of our results, as PNG bytes; drawn by matplotlib without a window."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.experiment import OVERALL
from napari_sam.evaluation.experiments.point_prompts import REPORTED_CLICKS
from napari_sam.evaluation.experiments.stacks.volume_prompts import DISTANCES
from napari_sam.evaluation.metrics.edge_scores import recall_precision
from napari_sam.evaluation.report.result_tables import sort_datasets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_sam.evaluation.experiments.experiment import Estimate
    from napari_sam.evaluation.report.group_table import GroupRow

    Cells = Mapping[tuple[str, str, str], Estimate]
    """Estimates of one data set by method, protocol and metric."""

_DPI = 110


def new_figure(columns: int = 1, width: float = 5.2, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes side by side, each `width` inches wide.

    Raises
    ------
    EvaluationError
        If matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise EvaluationError("figures need matplotlib", remedy="pip install 'napari-sam-xl[evaluate]'") from error
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _overall_cells(estimates: Sequence[Estimate]) -> Cells:
    """Return the estimates over all data sets, or of the only data set."""
    datasets = {e.dataset for e in estimates}
    dataset = OVERALL if OVERALL in datasets else next(iter(sorted(datasets)), OVERALL)
    return {(e.method, e.protocol, e.metric): e for e in estimates if e.dataset == dataset}


def point_curves(estimates: Sequence[Estimate]) -> bytes:
    """Draw Figure 9 (c, d): mean IoU over the number of points, at the centre and at random."""
    figure, axes = new_figure(2)
    cells = _overall_cells(estimates)
    methods = list(dict.fromkeys(method for method, _, _ in cells))
    measured = [n for n in REPORTED_CLICKS if any(metric == f"IoU@{n}" for _, _, metric in cells)]
    for ax, protocol in zip(axes, ("center", "random"), strict=True):
        for i, method in enumerate(methods):
            _draw_curve(ax, cells, method, protocol, f"C{i}")
        ax.set(xlabel="number of points", ylabel="mean IoU", title=f"{protocol} points", xticks=measured, ylim=(0, 1))
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize=8)
    return to_png(figure)


def distance_curves(estimates: Sequence[Estimate]) -> bytes:
    """Draw the mean IoU on single planes of volumes over their distance from the clicked plane."""
    figure, (ax,) = new_figure()
    cells = _overall_cells(estimates)
    for i, method in enumerate(dict.fromkeys(method for method, _, _ in cells)):
        known = {n: cells[method, "planes", f"IoU@{n}"] for n in DISTANCES if (method, "planes", f"IoU@{n}") in cells}
        drawn = {n: estimate for n, estimate in known.items() if not math.isnan(estimate.value)}
        if drawn:
            values = [estimate.value for estimate in drawn.values()]
            ax.errorbar(list(drawn), values, _error_bars(list(drawn.values())), color=f"C{i}", marker="o", label=method)
            ax.legend(frameon=False, fontsize=8)
    ax.set(xlabel="planes from the click", ylabel="mean IoU", ylim=(0, 1))
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xticks(DISTANCES, [str(n) for n in DISTANCES])
    return to_png(figure)


def _draw_curve(ax: Axes, cells: Cells, method: str, protocol: str, color: str) -> None:
    """Draw one method's IoU with its interval, and the best of three masks after one click."""
    points = {n: e.interval for n in REPORTED_CLICKS if (e := cells.get((method, protocol, f"IoU@{n}"))) is not None}
    if not points:
        return
    ax.plot(list(points), [p.value for p in points.values()], "o-", color=color, label=method, markersize=4)
    low, high = [p.low for p in points.values()], [p.high for p in points.values()]
    if not any(math.isnan(v) for v in low):
        ax.fill_between(list(points), low, high, color=color, alpha=0.15, linewidth=0)
    oracle = cells.get((method, protocol, "oracle@1"))
    if oracle is not None:
        ax.plot([1], [oracle.value], "o", mfc="none", color=color, label=f"{method}, oracle")


def data_set_bars(
    estimates: Sequence[Estimate], protocol: str, metric: str, *, circles: str = "", title: str = ""
) -> bytes:
    """Draw a metric of every data set with its interval, methods side by side.

    Parameters
    ----------
    estimates : sequence of Estimate
        Estimates of one experiment.
    protocol, metric : str
        What the bars show.
    circles : str
        A second metric, drawn as circles; empty for none.
    title : str
        Title of the figure.
    """
    shown = [e for e in estimates if e.protocol == protocol and e.metric == metric and not math.isnan(e.value)]
    methods = list(dict.fromkeys(e.method for e in shown))
    names = sort_datasets(e.dataset for e in shown)
    figure, (ax,) = new_figure(1, 10.0, 4.2)
    width = 0.8 / max(1, len(methods))
    for i, method in enumerate(methods):
        bars = {e.dataset: e for e in shown if e.method == method}
        slots = [k for k, name in enumerate(names) if name in bars]
        positions = np.array(slots) + (i - (len(methods) - 1) / 2) * width
        _draw_bars(ax, positions, [bars[names[k]] for k in slots], width * 0.92, f"C{i}")
        second = (method, protocol, circles)
        rings = {e.dataset: e.value for e in estimates if (e.method, e.protocol, e.metric) == second}
        if rings:
            heights = [rings.get(names[k], math.nan) for k in slots]
            ax.plot(positions, heights, "o", mfc="none", color="#333", markersize=5, label=f"{method}, {circles}")
    ax.set(ylabel=metric, title=title, ylim=(0, max(1.0, ax.get_ylim()[1])))
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    ax.legend(frameon=False, fontsize=8, ncols=3)
    return to_png(figure)


def _draw_bars(ax: Axes, positions: NDArray[np.float64], bars: Sequence[Estimate], width: float, color: str) -> None:
    values = np.array([e.value for e in bars])
    ax.bar(positions, values, width, color=color, label=bars[0].method)
    ax.errorbar(positions, values, _error_bars(bars), fmt="none", ecolor="#333", elinewidth=0.8)


def _error_bars(estimates: Sequence[Estimate]) -> NDArray[np.float64]:
    """Return the lengths of the intervals below and above the values; 0 if undefined."""
    below = [e.value - e.interval.low for e in estimates]
    above = [e.interval.high - e.value for e in estimates]
    return np.asarray(np.maximum(np.nan_to_num([below, above]), 0))


def model_sizes(estimates: Sequence[Estimate], sizes: Mapping[str, int]) -> bytes:
    """Draw Figure 13, right: mean IoU over the size of the network, after one click and with a box."""
    figure, (ax,) = new_figure(1, 5.6, 4.2)
    cells = _overall_cells(estimates)
    for i, (protocol, metric, title) in enumerate((("center", "IoU@1", "1 click"), ("box", "IoU", "box"))):
        points = {name: cells[name, protocol, metric] for name in sizes if (name, protocol, metric) in cells}
        millions, values = [sizes[name] / 1e6 for name in points], [e.value for e in points.values()]
        ax.errorbar(
            millions, values, _error_bars(list(points.values())), fmt="o", color=f"C{i}", capsize=3, label=title
        )
    for name, size in sizes.items():
        if (name, "center", "IoU@1") in cells:
            position = (size / 1e6, cells[name, "center", "IoU@1"].value)
            ax.annotate(name, position, fontsize=8, xytext=(5, 5), textcoords="offset points")
    ax.set(xscale="log", xlabel="parameters, millions", ylabel="mean IoU", ylim=(0, 1))
    ax.legend(frameon=False, fontsize=8)
    return to_png(figure)


def edge_curves(counts: Mapping[str, NDArray[np.integer]]) -> bytes:
    """Draw precision over recall of boundaries, by method, from counts (images, 4, thresholds)."""
    figure, (ax,) = new_figure(1, 5.6, 5.0)
    recall, precision = np.meshgrid(np.linspace(0.01, 1, 100), np.linspace(0.01, 1, 100))
    f = 2 * recall * precision / (recall + precision)
    lines = ax.contour(recall, precision, f, np.arange(0.1, 1, 0.1), colors="#ccc", linewidths=0.6)
    ax.clabel(lines, fontsize=6)
    for i, (method, table) in enumerate(counts.items()):
        r, p = recall_precision(np.asarray(table).sum(0))
        f_of_method = 2 * r * p / np.maximum(r + p, 1e-12)
        best = int(np.argmax(f_of_method))
        ax.plot(r, p, color=f"C{i}", label=f"{method}, F {f_of_method[best]:.3f}")
        ax.plot(r[best], p[best], "o", color=f"C{i}", markersize=5)
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), title="boundaries")
    ax.legend(frameon=False, fontsize=8, loc="lower left")
    return to_png(figure)


def group_intervals(rows: Sequence[GroupRow]) -> bytes:
    """Draw the mean IoU of every group with its interval, at one and three points."""
    figure, axes = new_figure(2, 5.4, 1.2 + 0.24 * len(rows))
    names = [f"{row.column}: {row.group}" for row in rows]
    for ax, n in zip(axes, (1, 3), strict=True):
        for k, row in enumerate(rows):
            interval = row.by_points.get(n)
            if interval is None:
                continue
            ax.plot([interval.value], [k], "o", color="C0", markersize=4)
            if not math.isnan(interval.low):
                ax.plot([interval.low, interval.high], [k, k], "-", color="C0", linewidth=1)
        ax.set(xlim=(0, 1), xlabel="mean IoU", title=f"{n} random point{'s' if n > 1 else ''}")
        name_rows(ax, names if ax is axes[0] else [""] * len(names))
    return to_png(figure)


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Label the rows of a horizontal plot, the first one at the top."""
    ax.set(ylim=(len(names) - 0.4, -0.6))
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.grid(axis="x", color="#eee")
