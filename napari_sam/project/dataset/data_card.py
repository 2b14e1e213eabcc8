"""The card of a data set: what it holds, how its objects came, and the figures of the paper's data section."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.evaluation.experiments.composition import CompositionExperiment
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.report.composition_figures import mask_centers, mask_properties
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.evaluation.experiments.experiment import Estimate
    from napari_sam.io.json_types import JsonObject

_FIGURES = {"centres.png": mask_centers, "properties.png": mask_properties}
_SEED = 0


@dataclass
class DataCard:
    """Collects what a data set holds, and writes its card.

    Attributes
    ----------
    name : str
        Name of the data set.
    """

    name: str
    _results: list[SampleResult] = field(default_factory=list)

    def add(self, sample: str, labels: NDArray[np.int32], groups: Mapping[str, str]) -> int:
        """Measure the objects of an image; returns their number."""
        truth = truth_from_labels(labels)
        described = Sample(self.name, sample, None, lambda: truth, groups=groups)
        payload = CompositionExperiment().measure(described, None, _SEED)
        self._results.append(SampleResult(self.name, sample, payload, groups))
        return len(payload["labels"])

    def write(self, folder: Path, images: pd.DataFrame, objects: pd.DataFrame, formats: Sequence[str]) -> None:
        """Write README.md, card.json and, with matplotlib, two pictures.

        Parameters
        ----------
        folder : Path
            Folder of the data set.
        images, objects : DataFrame
            A row for each image and each object.
        formats : sequence of str
            Formats of the data set.
        """
        estimates = CompositionExperiment().summary(self._results, "data", _SEED)
        figures = [_row(estimate) for estimate in estimates]
        counts = {name: _counts(objects, name) for name in ("stage", "by", "model", "category")}
        card: JsonObject = {
            "name": self.name,
            "formats": list(formats),
            "images": len(images),
            "pictures": len(self._results),
            "objects": len(objects),
            "first": _day(objects, "min"),
            "last": _day(objects, "max"),
            "complete": int(images["complete"].sum()),
            "kinds": _counts(images, "kind"),
            "composition": figures,
            **counts,
        }
        write_json(folder / "card.json", card)
        pictures = self._draw(folder)
        (folder / "README.md").write_text(_markdown(card, pictures), encoding="utf-8")

    def _draw(self, folder: Path) -> list[str]:
        drawn = []
        for name, draw in _FIGURES.items():
            try:
                (folder / name).write_bytes(draw(self._results))
            except EvaluationError:  # matplotlib is missing: the numbers are in the card
                continue
            drawn.append(name)
        return drawn


def _row(estimate: Estimate) -> JsonObject:
    interval = estimate.interval
    values = {"mean": interval.value, "low": interval.low, "high": interval.high}
    known = {name: None if math.isnan(value) else round(value, 4) for name, value in values.items()}
    return {"what": estimate.metric, **known, "n": interval.n}


def _counts(table: pd.DataFrame, column: str) -> dict[str, int]:
    missing = "unknown" if column == "by" else "none"
    values = table[column].astype(object).where(table[column].notna(), missing)
    return {str(name): int(number) for name, number in values.value_counts().items()}


def _day(objects: pd.DataFrame, which: str) -> str:
    time = getattr(objects["created"], which)()
    return "" if time != time else time.strftime("%Y-%m-%d")


def _markdown(card: JsonObject, pictures: Sequence[str]) -> str:
    """Return the card as text."""
    lines = [
        f"# {card['name']}",
        "",
        f"{card['images']} images, {card['pictures']} pictures in the files, {card['objects']} objects, made with "
        f"napari-sam-xl from {card['first']} to {card['last']}. In {card['complete']} images all objects have labels; "
        "in the others, only those that a person drew, prompted or accepted.",
        "",
        "## Files",
        "",
        *_files(card["formats"]),
        "- `objects.csv`: a row for each object: stage, who, when, model, prompts, and who accepted it.",
        "- `images.csv`: a row for each image: source, state, columns, whether all of its objects have labels.",
        "- `card.json`: the numbers of this page.",
        "",
        "Before you publish: state the licence and the origin of the images here.",
        "",
        "## How the objects came",
    ]
    for title, name in (("Stage", "stage"), ("By", "by"), ("Model", "model"), ("Class", "category"), ("Kind", "kinds")):
        lines += ["", f"| {title} | {'images' if name == 'kinds' else 'objects'} |", "|---|---:|"]
        lines += [f"| {_cell(key)} | {number} |" for key, number in card[name].items()]
    lines += ["", "## Composition", "", "Mean with its 95 % interval over images.", ""]
    lines += ["| | mean | interval | n |", "|---|---:|---:|---:|"]
    for row in card["composition"]:
        lines.append(
            f"| {row['what']} | {_number(row['mean'])} | {_number(row['low'])} to {_number(row['high'])} | {row['n']} |"
        )
    lines += [text for name in pictures for text in ("", f"![{name}]({name})")]
    return "\n".join(lines) + "\n"


def _files(formats: Sequence[str]) -> list[str]:
    described = {
        "pairs": "- `images/NAME.png` with `labels/NAME.tif`: 8-bit pictures as the network saw them, and ids of "
        "objects (0: background).",
        "coco": "- `instances.json`: COCO, of the pictures in `images/`, with stage, model and person of each object.",
        "ome-zarr": "- `zarr/NAME.ome.zarr`: whole images with all channels and planes, and objects in "
        "`labels/objects`.",
    }
    return [described[name] for name in formats]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
