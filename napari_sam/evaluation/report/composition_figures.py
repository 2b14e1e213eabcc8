"""The paper's figures of what a data set holds: positions of masks and images, sizes and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.evaluation.experiments.composition import center_map
from napari_sam.evaluation.report.figures import name_rows, new_figure, to_png

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.experiments.experiment import SampleResult

_MAX_COLUMNS = 6
_FINE_BINS, _COARSE_BINS = 32, 12
_MANY_MASKS = 2000
_PERCENTILES = (5, 25, 50, 75, 95)


def _by_dataset(results: Sequence[SampleResult]) -> dict[str, list[SampleResult]]:
    groups: dict[str, list[SampleResult]] = {}
    for result in results:
        groups.setdefault(result.dataset, []).append(result)
    return groups


def mask_centers(results: Sequence[SampleResult]) -> bytes:
    """Draw Figure 5: where mask centres lie, by data set."""
    groups = {
        name: group
        for name, group in sorted(_by_dataset(results).items())
        if any(result.payload["center"] for result in group)
    }
    columns = min(_MAX_COLUMNS, max(1, len(groups)))
    rows = -(-len(groups) // columns)
    figure, (placeholder,) = new_figure(1, 2.0 * columns, 2.2 * rows)
    placeholder.remove()
    for i, (name, group) in enumerate(groups.items(), start=1):
        ax = figure.add_subplot(rows, columns, i)
        count = sum(len(result.payload["center"]) for result in group)
        bins = _FINE_BINS if count > _MANY_MASKS else _COARSE_BINS
        ax.imshow(center_map(group, bins), cmap="magma", vmin=0)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{name}\nn = {count}", fontsize=8)
    return to_png(figure)


def _masks_per_image(results: Sequence[SampleResult]) -> NDArray[np.float64]:
    return np.array([len(result.payload["labels"]) for result in results], float)


def _values_of(key: str) -> Callable[[Sequence[SampleResult]], NDArray[np.float64]]:
    return lambda results: np.array([value for result in results for value in result.payload[key]], float)


_PROPERTIES: tuple[tuple[str, Callable[[Sequence[SampleResult]], NDArray[np.float64]]], ...] = (
    ("masks per image", _masks_per_image),
    ("relative size (root of share of the image)", _values_of("size")),
    ("concavity", _values_of("concavity")),
)


def mask_properties(results: Sequence[SampleResult]) -> bytes:
    """Draw Figure 6: masks per image, relative size and concavity by data set: median, quartiles, 5 to 95 %."""
    groups = dict(sorted(_by_dataset(results).items()))
    names = list(groups)
    figure, axes = new_figure(len(_PROPERTIES), 4.4, 1.2 + 0.24 * len(names))
    for ax, (title, values_of) in zip(axes, _PROPERTIES, strict=True):
        for k, group in enumerate(groups.values()):
            values = values_of(group)
            if not len(values):
                continue
            low, first, middle, third, high = np.percentile(values, _PERCENTILES)
            ax.plot([low, high], [k, k], "-", color="C0", linewidth=1)
            ax.plot([first, third], [k, k], "-", color="C0", linewidth=4, solid_capstyle="butt")
            ax.plot([middle], [k], "o", color="white", markeredgecolor="C0", markersize=5)
        ax.set(xlabel=title)
        name_rows(ax, names if ax is axes[0] else [""] * len(names))
    axes[0].set(xscale="symlog", xlim=(0, None))
    return to_png(figure)


def image_positions(results: Sequence[SampleResult]) -> bytes | None:
    """Draw Figure 7: where on Earth images were taken; None if no position is known."""
    known = [result.position or result.payload.get("position") for result in results]
    positions = np.array([position for position in known if position]).reshape(-1, 2)
    if not len(positions):
        return None
    figure, (ax,) = new_figure(1, 9.0, 4.6)
    ax.hist2d(positions[:, 1], positions[:, 0], bins=(72, 36), range=((-180, 180), (-90, 90)), cmap="Blues", cmin=1)
    ax.plot(positions[:, 1], positions[:, 0], ".", color="C3", markersize=3)
    ax.set(xlim=(-180, 180), ylim=(-90, 90), xlabel="longitude", ylabel="latitude", title=f"{len(positions)} images")
    ax.set_xticks(range(-180, 181, 60))
    ax.set_yticks(range(-90, 91, 30))
    ax.grid(color="#ddd")
    return to_png(figure)
