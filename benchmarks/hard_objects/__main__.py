"""Mean IoU after one click, three clicks and a box on thin, small, and large even objects, of one model or several.

    python -m benchmarks.hard_objects [--data ../shared/data] [--model NAME=FILE ...] [--cases NAME ...] [--images N]

The protocol is that of `napari-sam evaluate points`: the first click is at the object's deepest point, each further one
at the deepest point of the error, and the mask with the highest score counts. With several models, the differences from
the first are paired by object. Objects under 16 px are left out, as there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import timing
from benchmarks.hard_objects.drawings import cracks, drawn_case, even_areas, membranes, roads
from benchmarks.hard_objects.selection import is_large_and_even, is_small, is_thin, real_case, reduced_case
from napari_sam.cli.evaluate_commands.model_choice import chosen_models
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from napari_sam.evaluation.metrics.bootstrap import bootstrap_mean, paired_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.hard_objects.selection import HardCase
    from napari_sam.evaluation.experiments.experiment import Record
    from napari_sam.evaluation.metrics.bootstrap import Interval
    from napari_sam.predictor import Predictor

COLUMNS = {
    "1 click": ("center", "IoU@1"),
    "oracle": ("center", "oracle@1"),
    "3 clicks": ("center", "IoU@3"),
    "box": ("box", "IoU"),
}
"""Protocol and metric of each column."""

_BACKGROUNDS = ("coco_clean", "gravel_fh")
_SEED = 0


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    cases = [c for c in hard_cases(options.data, options.split, options.images) if c.name.startswith(options.cases)]
    if not cases:
        raise SystemExit(f"no case begins with {' or '.join(options.cases)}, or {options.data} has no such object")
    experiment = PointExperiment(max_images=None, per_image=options.per_image, clicks=3)
    records: dict[str, list[Record]] = {}
    for spec in chosen_models(options):
        start = time.perf_counter()
        predictor = spec.load()
        records[spec.name] = [r for case in cases for r in measure(case, experiment, predictor, spec.name)]
        timing.say(f"{spec.name}: {time.perf_counter() - start:.0f} s")
    timing.say("\n" + timing.align(result_table(records)))


def hard_cases(data: Path, split: str, images: int | None) -> list[HardCase]:
    """Return all cases, with up to `images` images each."""
    samples = [s for s in find_samples(data, split=split) if s.kind == "objects"]
    photographs = [s for s in samples if s.dataset in _BACKGROUNDS] or samples
    backgrounds = [read_rgb(photographs[i]) for i in evenly_spaced(len(photographs), images)]
    cases = [
        real_case("thin: data sets", samples, is_thin),
        drawn_case("thin: cracks", cracks, backgrounds, images or len(backgrounds)),
        drawn_case("thin: roads", roads, backgrounds, images or len(backgrounds)),
        drawn_case("thin: membranes", membranes, backgrounds, images or len(backgrounds)),
        real_case("small: data sets", samples, is_small),
        reduced_case("small: reduced", samples),
        real_case("even: data sets", samples, is_large_and_even),
        drawn_case("even: drawn", even_areas, backgrounds, images or len(backgrounds)),
    ]
    return [limited for case in cases if (limited := case.limited(images)).samples]


def measure(case: HardCase, experiment: PointExperiment, predictor: Predictor, model: str) -> list[Record]:
    """Measure the objects of a case, and return those records that the table shows."""
    results = [SampleResult(s.dataset, s.name, experiment.measure(s, predictor, _SEED)) for s in case.samples]
    shown = set(COLUMNS.values())
    return [r for r in experiment.records(results, model) if (r.protocol, r.metric) in shown]


def result_table(records: dict[str, list[Record]]) -> list[list[str]]:
    """Return the lines of the table, with a line for the difference of each further model from the first.

    Parameters
    ----------
    records : dict of str to list of Record
        Values of each model, of the same objects in the same order.
    """
    lines = [["case", "model", "images", "objects", *COLUMNS]]
    first, *others = records
    for case in dict.fromkeys(r.dataset for r in records[first]):
        for model in records:
            cells = [_values(records[model], case, *column) for column in COLUMNS.values()]
            lines.append(_line(case, model, [bootstrap_mean(v, images, seed=_SEED) for v, images in cells]))
        for model in others:
            pairs = [(_values(records[model], case, *c), _values(records[first], case, *c)) for c in COLUMNS.values()]
            gains = [paired_difference(a, b, images, seed=_SEED).interval for (a, images), (b, _) in pairs]
            lines.append(_line(case, f"{model} - {first}", gains))
    return lines


def _values(records: Sequence[Record], case: str, protocol: str, metric: str) -> tuple[list[float], list[str]]:
    """Return the values of a case, and the image of each."""
    chosen = [r for r in records if (r.dataset, r.protocol, r.metric) == (case, protocol, metric)]
    return [r.value for r in chosen], [r.sample for r in chosen]


def _line(case: str, model: str, cells: Sequence[Interval]) -> list[str]:
    texts = [f"{c.value:.3f} [{c.low:.3f}, {c.high:.3f}]" for c in cells]
    return [case, model, str(cells[0].images), str(cells[0].n), *texts]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", default="dev")
    parser.add_argument("--model", action="append", metavar="MODEL", help="name or checkpoint file, or NAME=FILE")
    parser.add_argument(
        "--cases", nargs="+", default=[""], help="only cases that begin so, such as thin (default: all)"
    )
    parser.add_argument("--images", type=int, default=12, help="images of each case, evenly spaced (12)")
    parser.add_argument("--per-image", type=int, default=4, help="objects of each image, evenly spaced (4)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args(arguments)
    options.cases = tuple(options.cases)
    return options


if __name__ == "__main__":
    main()
