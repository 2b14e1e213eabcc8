"""The paper's figures of our numbers, as PNG bytes; matplotlib without a window."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.composition import center_map
from napari_sam.evaluation.experiments.experiment import OVERALL
from napari_sam.evaluation.experiments.point_prompts import REPORTED_CLICKS
from napari_sam.evaluation.metrics.edge_scores import recall_precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.experiments.experiment import Estimate, SampleResult
    from napari_sam.evaluation.report.group_table import GroupRow

_DPI = 110


def _axes(columns: int = 1, width: float = 5.2, height: float = 4.0) -> tuple[Any, list[Any]]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise EvaluationError("figures need matplotlib: pip install 'napari-sam-xl[evaluate]'") from error
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def _found(estimates: Sequence[Estimate], dataset: str) -> dict[tuple[str, str, str], Estimate]:
    return {(e.method, e.protocol, e.metric): e for e in estimates if e.dataset == dataset}


def _overall(estimates: Sequence[Estimate]) -> str:
    """All data sets, or the only one."""
    names = {e.dataset for e in estimates}
    return OVERALL if OVERALL in names else next(iter(sorted(names)), OVERALL)


def point_curves(estimates: Sequence[Estimate]) -> bytes:
    """Figure 9 (c, d): mean IoU over the number of points, at the centre and at random."""
    figure, axes = _axes(2)
    known = _found(estimates, _overall(estimates))
    methods = list(dict.fromkeys(method for method, _, _ in known))
    reached = [n for n in REPORTED_CLICKS if any(metric == f"IoU@{n}" for _, _, metric in known)]
    for ax, how in zip(axes, ("center", "random"), strict=True):
        for i, method in enumerate(methods):
            some = [(n, known[method, how, f"IoU@{n}"]) for n in REPORTED_CLICKS if (method, how, f"IoU@{n}") in known]
            if not some:
                continue
            ns, values = [n for n, _ in some], [e.value for _, e in some]
            ax.plot(ns, values, "o-", color=f"C{i}", label=method, markersize=4)
            low, high = [e.low for _, e in some], [e.high for _, e in some]
            if not any(math.isnan(v) for v in low):
                ax.fill_between(ns, low, high, color=f"C{i}", alpha=0.15, linewidth=0)
            oracle = known.get((method, how, "oracle@1"))
            if oracle is not None:
                ax.plot([1], [oracle.value], "o", mfc="none", color=f"C{i}", label=f"{method}, oracle")
        ax.set(xlabel="number of points", ylabel="mean IoU", title=f"{how} points", xticks=reached, ylim=(0, 1))
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize=8)
    return _png(figure)


def data_set_bars(
    estimates: Sequence[Estimate], protocol: str, metric: str, *, circles: str = "", title: str = ""
) -> bytes:
    """A number of every data set with its interval, methods side by side; circles for a second metric."""
    some = [e for e in estimates if e.protocol == protocol and e.metric == metric and not math.isnan(e.value)]
    methods = list(dict.fromkeys(e.method for e in some))
    names = sorted({e.dataset for e in some}, key=lambda n: (n == OVERALL, n))
    figure, (ax,) = _axes(1, 10.0, 4.2)
    width = 0.8 / max(1, len(methods))
    for i, method in enumerate(methods):
        known = {e.dataset: e for e in some if e.method == method}
        at = [k for k, name in enumerate(names) if name in known]
        picked = [known[names[k]] for k in at]
        places = np.array(at) + (i - (len(methods) - 1) / 2) * width
        values = np.array([e.value for e in picked])
        spans = np.nan_to_num([[e.value - e.low for e in picked], [e.high - e.value for e in picked]])
        ax.bar(places, values, width * 0.92, color=f"C{i}", label=method)
        ax.errorbar(places, values, np.maximum(spans, 0), fmt="none", ecolor="#333", elinewidth=0.8)
        rings = {
            e.dataset: e.value for e in estimates if (e.method, e.protocol, e.metric) == (method, protocol, circles)
        }
        if rings:
            heights = [rings.get(names[k], math.nan) for k in at]
            ax.plot(places, heights, "o", mfc="none", color="#333", markersize=5, label=f"{method}, {circles}")
    ax.set(ylabel=metric, title=title, ylim=(0, max(1.0, ax.get_ylim()[1])))
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    ax.legend(frameon=False, fontsize=8, ncols=3)
    return _png(figure)


def model_sizes(estimates: Sequence[Estimate], sizes: Mapping[str, int]) -> bytes:
    """Figure 13, right: mean IoU over the size of the network, after one click and with a box."""
    figure, (ax,) = _axes(1, 5.6, 4.2)
    known = _found(estimates, _overall(estimates))
    for i, (protocol, metric, title) in enumerate((("center", "IoU@1", "1 click"), ("box", "IoU", "box"))):
        some = [
            (size, known[name, protocol, metric]) for name, size in sizes.items() if (name, protocol, metric) in known
        ]
        at, values = [size / 1e6 for size, _ in some], [one.value for _, one in some]
        spans = np.nan_to_num([[one.value - one.low for _, one in some], [one.high - one.value for _, one in some]])
        ax.errorbar(at, values, np.maximum(spans, 0), fmt="o", color=f"C{i}", capsize=3, label=title)
    for name, size in sizes.items():
        if (name, "center", "IoU@1") in known:
            ax.annotate(
                name,
                (size / 1e6, known[name, "center", "IoU@1"].value),
                fontsize=8,
                xytext=(5, 5),
                textcoords="offset points",
            )
    ax.set(xscale="log", xlabel="parameters, millions", ylabel="mean IoU", ylim=(0, 1))
    ax.legend(frameon=False, fontsize=8)
    return _png(figure)


def edge_curves(counts: Mapping[str, NDArray[np.integer]]) -> bytes:
    """Precision over recall of boundaries, by method, from counts (images, 4, thresholds)."""
    figure, (ax,) = _axes(1, 5.6, 5.0)
    recall, precision = np.meshgrid(np.linspace(0.01, 1, 100), np.linspace(0.01, 1, 100))
    f = 2 * recall * precision / (recall + precision)
    lines = ax.contour(recall, precision, f, np.arange(0.1, 1, 0.1), colors="#ccc", linewidths=0.6)
    ax.clabel(lines, fontsize=6)
    for i, (method, table) in enumerate(counts.items()):
        r, p = recall_precision(np.asarray(table).sum(0))
        best = int(np.argmax(2 * r * p / np.maximum(r + p, 1e-12)))
        ax.plot(r, p, color=f"C{i}", label=f"{method}, F {2 * r[best] * p[best] / max(r[best] + p[best], 1e-12):.3f}")
        ax.plot(r[best], p[best], "o", color=f"C{i}", markersize=5)
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), title="boundaries")
    ax.legend(frameon=False, fontsize=8, loc="lower left")
    return _png(figure)


def group_intervals(rows: Sequence[GroupRow]) -> bytes:
    """Every group's mean IoU with its interval, at one and three points."""
    figure, axes = _axes(2, 5.4, 1.2 + 0.24 * len(rows))
    names = [f"{row.column}: {row.group}" for row in rows]
    for ax, n in zip(axes, (1, 3), strict=True):
        for k, row in enumerate(rows):
            found = row.by_points.get(n)
            if found is None:
                continue
            ax.plot([found.value], [k], "o", color="C0", markersize=4)
            if not math.isnan(found.low):
                ax.plot([found.low, found.high], [k, k], "-", color="C0", linewidth=1)
        ax.set(
            xlim=(0, 1),
            xlabel="mean IoU",
            title=f"{n} random point{'s' if n > 1 else ''}",
            ylim=(len(rows) - 0.4, -0.6),
        )
        ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names), fontsize=8)
        ax.grid(axis="x", color="#eee")
    return _png(figure)


def centers(units: Sequence[SampleResult]) -> bytes:
    """Figure 5: where mask centres lie, data set by data set."""
    by_set: dict[str, list[SampleResult]] = {}
    for one in units:
        by_set.setdefault(one.dataset, []).append(one)
    shown = {name: some for name, some in by_set.items() if any(u.payload["center"] for u in some)}
    columns = min(6, max(1, len(shown)))
    rows = -(-len(shown) // columns)
    figure, (first,) = _axes(1, 2.0 * columns, 2.2 * rows)
    first.remove()
    for i, (name, some) in enumerate(sorted(shown.items()), start=1):
        ax = figure.add_subplot(rows, columns, i)
        count = sum(len(u.payload["center"]) for u in some)
        ax.imshow(center_map(some, 32 if count > 2000 else 12), cmap="magma", vmin=0)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{name}\nn = {count}", fontsize=8)
    return _png(figure)


def mask_properties(units: Sequence[SampleResult]) -> bytes:
    """Figure 6: masks per image, relative size and concavity of each data set: median, quartiles, 5 to 95 %."""
    by_set: dict[str, list[SampleResult]] = {}
    for one in units:
        by_set.setdefault(one.dataset, []).append(one)
    names = sorted(by_set)
    figure, axes = _axes(3, 4.4, 1.2 + 0.24 * len(names))
    titles = ("masks per image", "relative size (root of share of the image)", "concavity")
    for ax, title in zip(axes, titles, strict=True):
        for k, name in enumerate(names):
            values = _property(title, by_set[name])
            if not len(values):
                continue
            low, first, middle, third, high = np.percentile(values, [5, 25, 50, 75, 95])
            ax.plot([low, high], [k, k], "-", color="C0", linewidth=1)
            ax.plot([first, third], [k, k], "-", color="C0", linewidth=4, solid_capstyle="butt")
            ax.plot([middle], [k], "o", color="white", markeredgecolor="C0", markersize=5)
        ax.set(xlabel=title, ylim=(len(names) - 0.4, -0.6))
        ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names), fontsize=8)
        ax.grid(axis="x", color="#eee")
    axes[0].set(xscale="symlog", xlim=(0, None))
    return _png(figure)


def _property(title: str, units: Sequence[SampleResult]) -> NDArray[np.float64]:
    if title == "masks per image":
        return np.array([len(u.payload["labels"]) for u in units], float)
    return np.array([v for u in units for v in u.payload["concavity" if title == "concavity" else "size"]], float)


def positions(units: Sequence[SampleResult]) -> bytes | None:
    """Figure 7: where on Earth images were taken; None where none says it."""
    known = [u.position or u.payload.get("position") for u in units]
    places = np.array([one for one in known if one]).reshape(-1, 2)
    if not len(places):
        return None
    figure, (ax,) = _axes(1, 9.0, 4.6)
    ax.hist2d(places[:, 1], places[:, 0], bins=(72, 36), range=((-180, 180), (-90, 90)), cmap="Blues", cmin=1)
    ax.plot(places[:, 1], places[:, 0], ".", color="C3", markersize=3)
    ax.set(xlim=(-180, 180), ylim=(-90, 90), xlabel="longitude", ylabel="latitude", title=f"{len(places)} images")
    ax.set_xticks(range(-180, 181, 60))
    ax.set_yticks(range(-90, 91, 30))
    ax.grid(color="#ddd")
    return _png(figure)
