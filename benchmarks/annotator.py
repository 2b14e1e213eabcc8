"""What training on one's own corrections saves: a simulated annotator, over rounds of ten images.

    python -m benchmarks.annotator [--data ../shared/data] [--only dsb2018] [--rounds 2] [--images 10] [--quick]

Half of the dev images of each data set are annotated, large ones in parts; the other half is only measured. The
annotator corrects every object of a round's images until it is as in the truth, the project's model is improved on them
as `ns.Project.improve` does, and the improved model is used from then on, whatever its comparison said. Before the
first round and after each, the model answers on the half that is kept for measuring:

- clicks: simulated clicks per object until the IoU is 0.85, each where the mask is wrong; `CLICKS` for those that do
  not get there;
- touched: share of the objects for which everything-mode has no mask of IoU 0.85, so that somebody must touch them;
- clicks with filling: clicks per object if everything-mode fills in first, so that the others need no click.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import napari_sam as ns
from benchmarks import timing
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.labelled_samples import read_rgb
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from napari_sam.evaluation.metrics.label_matching import count_overlaps
from napari_sam.project.training.improve_settings import ImproveSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.labelled_samples import Sample

SETS = ("dsb2018", "usiigaci_t98g", "agoro_fields")
CLICKS = 5
TARGET_IOU = 0.85
_PART_PX = 400  # larger images are annotated in parts of at most so many pixels a side
_MEASURED_IMAGES, _MEASURED_OBJECTS = 12, 20


@dataclass(frozen=True)
class Measured:
    """What a model asks of the annotator on images that it was not trained on.

    Attributes
    ----------
    data : str
        Data set.
    images : int
        Images annotated so far.
    objects : int
        Objects measured.
    iou_1click, clicks, touched, clicks_with_filling : float
        IoU after one click, and the measures that the module describes.
    minutes : float
        Time of the training that came before.
    """

    data: str
    images: int
    objects: int
    iou_1click: float
    clicks: float
    touched: float
    clicks_with_filling: float
    minutes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=list(SETS), help="data sets")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--images", type=int, default=10, help="images, or parts of images, of each round")
    parser.add_argument("--steps", type=int, default=0, help="training steps of each round; 0 for the default")
    parser.add_argument("--encoder", default="auto", help="as for 'napari-sam project improve'")
    parser.add_argument("--quick", action="store_true", help="two images of a round and three steps, to try it out")
    options = parser.parse_args()
    found = timing.machine()
    timing.say(timing.describe(found))
    rounds, images, steps = (1, 2, 3) if options.quick else (options.rounds, options.images, options.steps)
    settings = ImproveSettings(steps=steps, encoder=options.encoder)
    most = 2 if options.quick else _MEASURED_IMAGES
    rows: list[Measured] = []
    for name in options.only[: 1 if options.quick else None]:
        samples = [s for s in find_samples(options.data, split="dev", only=[name]) if s.truth().objects]
        folder = Path(tempfile.mkdtemp())
        for measured in annotate(samples[::2], samples[1::2][:most], folder, rounds, images, settings):
            timing.say(json.dumps(asdict(measured)))
            rows.append(measured)
        shutil.rmtree(folder, ignore_errors=True)
    if not options.quick:
        timing.RESULTS.mkdir(exist_ok=True)
        content = {"machine": found, "rows": [asdict(row) for row in rows]}
        (timing.RESULTS / "annotator.json").write_text(json.dumps(content, indent=1))


def annotate(
    annotated: Sequence[Sample],
    kept: Sequence[Sample],
    folder: Path,
    rounds: int,
    images: int,
    settings: ImproveSettings,
) -> Iterator[Measured]:
    """Annotate images in rounds, improve the model after each, and measure it on the kept images.

    Yields
    ------
    Measured
        Before the first round, and after each.
    """
    project = ns.Project.create(folder / "project")
    parts = list(parts_of(annotated))
    order = np.random.default_rng(0).permutation(len(parts))
    count = min(images, len(parts) // rounds)
    yield measure(kept, project.model, 0, 0.0)
    for done in range(rounds):
        for i in order[done * count : (done + 1) * count]:
            rgb, labels = parts[i]
            path = folder / f"image{i}.png"
            Image.fromarray(rgb).save(path)
            (image,) = project.add(path).added
            with image.labels() as store:
                store.paint(labels.astype(np.int64), (0, 0))
            image.state = "done"
        begun = time.perf_counter()
        version = project.improve(settings, device="cpu")
        minutes = (time.perf_counter() - begun) / 60
        project.use_model(version.number)
        yield measure(kept, project.model, (done + 1) * count, minutes)


def measure(samples: Sequence[Sample], model: str, annotated: int, minutes: float) -> Measured:
    """Measure what a model asks of the annotator on images."""
    predictor = ns.Predictor(model, device="cpu")
    experiment = PointExperiment(per_image=_MEASURED_OBJECTS, clicks=CLICKS, only_centre=True)
    first, clicks, touched = [], [], []
    for sample in samples:
        payload = experiment.measure(sample, predictor, 0)
        missing = _missing(sample, predictor)
        for label, ious in zip(payload["labels"], payload.get("center", {"iou": []})["iou"], strict=True):
            reached = np.flatnonzero(np.array(ious) >= TARGET_IOU)
            first.append(ious[0])
            clicks.append(int(reached[0]) + 1 if len(reached) else CLICKS)
            touched.append(label in missing)
    needed = np.array(clicks) * np.array(touched)
    return Measured(
        samples[0].dataset,
        annotated,
        len(clicks),
        round(float(np.mean(first)), 3),
        round(float(np.mean(clicks)), 2),
        round(float(np.mean(touched)), 3),
        round(float(needed.mean()), 2),
        round(minutes, 1),
    )


def _missing(sample: Sample, predictor: ns.Predictor) -> set[int]:
    """Return the labels of the objects for which everything-mode has no good mask."""
    truth = sample.truth().labels()
    with tempfile.TemporaryDirectory() as folder:
        report = ns.segment_everything(sample.source(), predictor, Path(folder) / "found.ome.zarr")
        with report.labels as store:
            found = np.asarray(store.read((0, 0, *truth.shape)))
    matching = count_overlaps(truth, found).matching()
    good = matching.true_labels[matching.rows[matching.iou >= TARGET_IOU]]
    return set(matching.true_labels.tolist()) - set(good.tolist())


def parts_of(samples: Sequence[Sample]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """Cut large images into parts with objects; pixels (h, w, 3) and labels (h, w)."""
    for sample in samples:
        rgb, labels = read_rgb(sample), sample.truth().labels()
        edges = [np.linspace(0, size, -(-size // _PART_PX) + 1).astype(int) for size in labels.shape]
        for top, bottom in zip(edges[0], edges[0][1:], strict=False):
            for left, right in zip(edges[1], edges[1][1:], strict=False):
                part = labels[top:bottom, left:right]
                if part.any():
                    yield rgb[top:bottom, left:right], part


if __name__ == "__main__":
    main()
