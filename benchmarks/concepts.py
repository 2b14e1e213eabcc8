"""How well one example finds all objects of its kind, what corrections add, and which features matter.

    python -m benchmarks.concepts [--data ../shared/data] [--split dev] [--images 2] [--examples 3] [--sets emps]

For each image of a set, random true objects are the one example of a concept in turn. F1 counts objects of an IoU of at
least 0.5. It is compared with what everything-mode reaches if the truth removes all objects that lie mostly outside of
those of the kind. Ten corrections reject the wrong objects of the highest scores and accept the right ones of the
lowest. The concept of each image is also used on the next image of the set. On images of two kinds
(`benchmarks.mixed_kinds`), the ranking of candidates that show an object of either kind is measured by its average
precision. "Without" leaves out one measure of similarity at a time.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import napari_sam as ns
from benchmarks import timing
from benchmarks.mixed_kinds import SETS as MIXED
from benchmarks.mixed_kinds import average_precision
from napari_sam.concept import masks_of
from napari_sam.engine.concepts import concept_model
from napari_sam.engine.concepts.candidate_finder import find_candidates
from napari_sam.engine.concepts.example_features import best_match
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb
from napari_sam.evaluation.metrics.label_matching import match_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.concepts.candidates import Candidates

_SETS = ("dsb2018", "emps", "axon_tem_srf", "usiigaci_t98g", "wbc", "agoro_fields", "buildings")
_LARGEST_PX = 1024  # larger images are cut
_CORRECTIONS = 10
_SEED = 16


@dataclass(frozen=True)
class KindImage:
    """An image with the objects of one kind.

    Attributes
    ----------
    name : str
        Data set and image.
    image : ndarray of uint8
        (H, W, 3).
    labels : ndarray of int32
        (H, W) objects of the kind, 0 elsewhere.
    others : ndarray of int32
        (H, W) objects of other kinds, 0 elsewhere.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    others: NDArray[np.int32]

    @property
    def region(self) -> tuple[int, int, int, int]:
        """The whole image."""
        return (0, 0, *self.labels.shape)

    def label_numbers(self) -> NDArray[np.int32]:
        """Return the labels of the kind."""
        numbers: NDArray[np.int32] = np.unique(self.labels[self.labels > 0])
        return numbers


@dataclass
class Figures:
    """Figures of one set, one for each example."""

    everything: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    corrected: list[float] = field(default_factory=list)
    elsewhere: list[float] = field(default_factory=list)
    precision: list[float] = field(default_factory=list)
    corrected_precision: list[float] = field(default_factory=list)
    without: dict[str, list[float]] = field(default_factory=dict)

    def row(self) -> list[float]:
        """Return the mean of each figure."""
        columns = (
            self.everything,
            self.one,
            self.corrected,
            self.elsewhere,
            self.precision,
            self.corrected_precision,
        )
        return [float(np.mean(values)) if values else float("nan") for values in columns]


COLUMNS = ("everything", "one example", "corrected", "next image", "AP", "AP corrected")


def f1_score(truth: NDArray[np.int32], found: NDArray[np.int32]) -> float:
    """Return the F1 score of labels at an IoU of 0.5.

    >>> f1_score(np.array([[1, 1, 0, 2]]), np.array([[1, 1, 0, 0]]))
    0.6666666666666666
    """
    matching = match_labels(truth, found)
    total = matching.true + matching.predicted
    return 2 * matching.true_positives(0.5) / total if total else float("nan")


def without_other_kinds(found: NDArray[np.int32], truth: NDArray[np.int32]) -> NDArray[np.int32]:
    """Remove the objects that lie mostly outside of the true objects.

    >>> without_other_kinds(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 0, 0]])).tolist()
    [[1, 1, 1, 0]]
    """
    area = np.bincount(found.ravel())
    inside = np.bincount(found[truth > 0].ravel(), minlength=len(area))
    kept: NDArray[np.int32] = np.where((2 * inside > area)[found], found, 0)
    return kept


def kinds_of(image: KindImage, candidates: Candidates) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which candidates show an object of the kind, and which one of another kind, at an IoU of 0.5."""
    shown = []
    for labels in (image.labels, image.others):
        hit = np.zeros(len(candidates), bool)
        for mask in masks_of(np.unique(labels[labels > 0]).tolist(), labels):
            index, iou = best_match(mask, candidates)
            hit[index] |= iou >= 0.5
        shown.append(hit)
    return shown[0], shown[1] & ~shown[0]


def correct(concept: ns.Concept, candidates: Candidates, of_kind: NDArray[np.bool_]) -> None:
    """Reject the wrong objects of the highest scores, and accept the right ones of the lowest, in equal numbers."""
    scores = concept.score(candidates.features)
    drawn = np.zeros(len(candidates), bool)
    drawn[candidates.draw(_box_of(candidates), scores)[1]] = True  # those that a user sees
    for chosen, accepted, order in ((drawn & ~of_kind, False, -scores), (of_kind, True, scores)):
        worst = np.argsort(np.where(chosen, order, np.inf))[: min(_CORRECTIONS // 2, np.count_nonzero(chosen))]
        concept.add(candidates.features[worst], accepted)
    concept.fit()


def _box_of(candidates: Candidates) -> tuple[int, int, int, int]:
    boxes = candidates.boxes
    return (0, 0, int(boxes[:, 2].max(initial=1)), int(boxes[:, 3].max(initial=1)))


def found_by(concept: ns.Concept, candidates: Candidates, image: KindImage) -> float:
    """Return the F1 score of the objects that a concept accepts."""
    scores = concept.score(candidates.features)
    accepted = scores >= concept.threshold
    objects, _ = candidates.subset(accepted).draw(image.region, scores[accepted])
    return f1_score(image.labels, objects.labels)


def measure_image(
    image: KindImage, following: KindImage | None, predictor: ns.Predictor, examples: int, figures: Figures
) -> None:
    """Learn from some single examples of an image, and add the figures."""
    rng = np.random.default_rng(_SEED)
    predictor.set_image(image.image)
    everything = without_other_kinds(predictor.instances(), image.labels)
    figures.everything.append(f1_score(image.labels, everything))
    known: dict[float, Candidates] = {}
    numbers = image.label_numbers()
    for label in rng.permutation(numbers)[:examples].tolist():
        concept = ns.Concept.from_examples(image.image, image.labels, [label], predictor=predictor)
        diameter = float(concept.diameter_px or 0)
        if diameter not in known:
            predictor.set_image(image.image)
            known[diameter] = find_candidates(predictor, diameter_px=diameter)
        candidates = known[diameter]
        figures.one.append(found_by(concept, candidates, image))
        of_kind, of_other = kinds_of(image, candidates)
        shown = of_kind | of_other
        if image.others.any():
            figures.precision.append(average_precision(concept.score(candidates.features)[shown], of_kind[shown]))
        ablate(concept, candidates, image, (of_kind, of_other), figures)
        if following is not None:
            predictor.set_image(following.image)
            elsewhere = find_candidates(predictor, diameter_px=diameter)
            figures.elsewhere.append(found_by(concept, elsewhere, following))
        correct(concept, candidates, of_kind)
        figures.corrected.append(found_by(concept, candidates, image))
        if image.others.any():
            scores = concept.score(candidates.features)[shown]
            figures.corrected_precision.append(average_precision(scores, of_kind[shown]))


def ablate(
    concept: ns.Concept,
    candidates: Candidates,
    image: KindImage,
    kinds: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    figures: Figures,
) -> None:
    """Add the figures without each measure: average precision where there are two kinds, F1 elsewhere."""
    of_kind, of_other = kinds
    shown = of_kind | of_other
    weights = dict(concept_model.WEIGHTS)
    for name in ("nothing", *(name for name, weight in weights.items() if weight)):
        concept_model.WEIGHTS.update({**weights, name: 0.0} if name in weights else weights)
        concept.fit()
        if of_other.any():
            value = average_precision(concept.score(candidates.features)[shown], of_kind[shown])
        else:
            value = found_by(concept, candidates, image)
        figures.without.setdefault(name, []).append(value)
    concept_model.WEIGHTS.update(weights)
    concept.fit()


def images_of(data: Path, split: str, name: str, count: int) -> list[KindImage]:
    """Return some images of a data set, or of one kind of a mixed set."""
    if name in MIXED:
        mixed = list(MIXED[name](data, split, count))
        kinds = sorted({kind for image in mixed for kind in image.kinds.values()})
        images = []
        for kind in kinds:
            for image in mixed:
                own = image.labels_of(kind)
                images.append(
                    _cut(f"{image.name}: {kind}", image.image, own, np.where(own > 0, 0, image.labels).astype(np.int32))
                )
        return images
    least = 1 if name == "wbc" else 4
    samples = [s for s in find_samples(data, split=split, only=[name]) if len(s.truth().objects) >= least]
    chosen = [samples[i] for i in evenly_spaced(len(samples), count)]
    return [
        _cut(sample.title, read_rgb(sample), labels, np.zeros_like(labels))
        for sample in chosen
        for labels in [sample.truth().labels().astype(np.int32)]
    ]


def _cut(name: str, image: NDArray[np.uint8], labels: NDArray[np.int32], others: NDArray[np.int32]) -> KindImage:
    part = (slice(_LARGEST_PX), slice(_LARGEST_PX))
    return KindImage(name, image[part], labels[part], others[part])


def measure_set(images: Sequence[KindImage], predictor: ns.Predictor, examples: int) -> Figures:
    """Return the figures of a set."""
    figures = Figures()
    for index, image in enumerate(images):
        following = images[(index + 1) % len(images)] if len(images) > 1 and not image.others.any() else None
        measure_image(image, following, predictor, examples, figures)
        timing.say(f"  {image.name}: " + _formatted(figures.row()))
    return figures


def _formatted(values: Iterable[float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in zip(COLUMNS, values, strict=True) if value == value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", default="dev")
    parser.add_argument("--images", type=int, default=2, help="of each set (default: 2)")
    parser.add_argument("--examples", type=int, default=3, help="of each image (default: 3)")
    parser.add_argument("--sets", nargs="+", default=[*_SETS, *MIXED], help="data sets and mixed sets (default: all)")
    options = parser.parse_args()
    predictor = ns.Predictor("default", device="cpu")
    rows, without = {}, {}
    for name in options.sets:
        timing.say(name)
        figures = measure_set(images_of(options.data, options.split, name, options.images), predictor, options.examples)
        rows[name], without[name] = figures.row(), figures.without
    timing.say("set".ljust(22) + "".join(column.rjust(14) for column in COLUMNS))
    for name, row in rows.items():
        timing.say(name.ljust(22) + "".join(f"{value:14.3f}" for value in row))
    timing.say("\nWithout a measure: average precision on mixed sets, F1 elsewhere")
    for name, values in without.items():
        timing.say(name.ljust(22) + ", ".join(f"{measure} {np.mean(v):.3f}" for measure, v in values.items()))


if __name__ == "__main__":
    main()
