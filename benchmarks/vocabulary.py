"""Learn the concepts of the vocabulary from training images, measure them on others, and ship those that measure up.

    python -m benchmarks.vocabulary [--data ../shared/data] [--images 8] [--measured 3] [--write]

Only training images whose licence allows reuse teach a concept: those that the weights were trained on (MODEL_CARD.md).
Build the concepts anew whenever the weights or the definitions of the features change;
tests/text/test_shipped_words.py tells when.

A word measures up if, on images of the dev split, the F1 of the objects found by it is at least `LEAST_SHARE` of what
everything-mode reaches with the truth telling kind from kind, and the average precision with which it ranks its
objects among those of all words is at least `LEAST_PRECISION`.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.mixed_kinds import MixedImage, average_precision, kind_of_candidates
from napari_sam.concept import Concept
from napari_sam.engine.concepts.candidate_finder import find_candidates
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb
from napari_sam.predictor import Predictor
from napari_sam.text.vocabulary import INDEX, shipped_folder
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.concepts.candidates import Candidates

LEAST_SHARE, LEAST_PRECISION = 0.75, 0.8
SIDE_PX = 384
"""Larger images are cut to the middle of this side."""
EXAMPLES = 80
"""Accepted, and rejected, examples of a concept: as many as a file of 200 kB holds."""


@dataclass(frozen=True)
class Source:
    """Training and dev images of a word.

    Attributes
    ----------
    word : str
        The name.
    synonyms : tuple of str
        Other names.
    sets : dict of str to tuple of str
        Data sets, and the beginnings of the names of images that may be used; all with an empty tuple.
    licence : str
        Their licences.
    """

    word: str
    synonyms: tuple[str, ...]
    sets: dict[str, tuple[str, ...]]
    licence: str


SOURCES = (
    Source("nucleus", ("cell nucleus", "nuclear"), {"dsb2018": ()}, "CC0-1.0"),
    Source("cell", ("living cell", "cultured cell"), {"usiigaci_t98g": ()}, "MIT"),
    Source("particle", ("nanoparticle", "powder particle"), {"emps": (), "nanoshapes_tem": ()}, "MIT, CC BY 4.0"),
    Source("axon", ("nerve fibre", "nerve fiber"), {"axon_sem": (), "axon_tem_srf": ()}, "MIT"),
    Source("field", ("agricultural field", "crop field", "farmland"), {"agoro_fields": ()}, "public domain, MIT"),
    Source(
        "building",
        ("house", "roof", "rooftop"),
        {"buildings": ("inria", "spacenet"), "fair_buildings": ()},
        "public domain, CC BY-SA 4.0, CC BY 4.0 (labels ODbL)",
    ),
)


@dataclass(frozen=True)
class Seen:
    """The candidates of an image, and which of them show a true object.

    Attributes
    ----------
    word : str
        What the image shows.
    candidates : Candidates
        The candidates.
    truth : ndarray of int
        (n,) index of the true object that a candidate shows, -1 for none.
    objects : int
        Number of true objects.
    shape : (int, int)
        Height and width of the image.
    """

    word: str
    candidates: Candidates
    truth: NDArray[np.int64]
    objects: int
    shape: tuple[int, int]

    def f1(self, scores: NDArray[np.float32], kept: NDArray[np.bool_]) -> tuple[int, int, int]:
        """Return true positives, false positives and false negatives of the objects that are drawn, best first."""
        chosen = self.candidates.subset(kept)
        drawn = chosen.draw((0, 0, *self.shape), scores[kept])[1]
        shown = self.truth[np.flatnonzero(kept)[drawn]]
        right = len(np.unique(shown[shown >= 0]))
        return right, len(shown) - right, self.objects - right


def see(predictor: Predictor, data: Path, source: Source, split: str, limit: int) -> Iterator[Seen]:
    """Find the candidates of evenly spaced images of a word."""
    for name, beginnings in source.sets.items():
        samples = find_samples(data, split=split, only=[name])
        samples = [s for s in samples if s.kind == "objects" and (not beginnings or s.name.startswith(beginnings))]
        for index in evenly_spaced(len(samples), max(1, limit // len(source.sets))):
            image, labels = _middle(read_rgb(samples[index])), _middle(samples[index].truth().labels())
            present = [int(label) for label in np.unique(labels) if label]
            if not present:
                continue
            predictor.set_image(image)
            candidates = find_candidates(predictor)
            mixed = MixedImage(name, image, labels, {label: str(label) for label in present})
            corners = [
                ((int(y), int(x)), mask) for (y, x), mask in zip(candidates.boxes[:, :2], candidates.masks, strict=True)
            ]
            shown = [-1 if kind is None else int(kind) for kind in kind_of_candidates(mixed, corners)]
            yield Seen(source.word, candidates, np.array(shown, np.int64), len(present), labels.shape)


def _middle(array: NDArray[np.generic]) -> NDArray[np.generic]:
    y, x = (max(0, (size - SIDE_PX) // 2) for size in array.shape[:2])
    return np.ascontiguousarray(array[y : y + SIDE_PX, x : x + SIDE_PX])


def learn(word: str, seen: list[Seen]) -> Concept:
    """Learn a concept: its objects against what else is found in its images, and objects of the other words."""
    rng = np.random.default_rng(16)
    layout = seen[0].candidates.layout
    own = [s for s in seen if s.word == word]
    accepted = [s.candidates.features[s.truth >= 0] for s in own]
    beside = [s.candidates.features[s.truth < 0] for s in own]
    others = [s.candidates.features[s.truth >= 0] for s in seen if s.word != word]
    concept = Concept(layout, word)
    concept.add_population(np.concatenate([s.candidates.features for s in seen]))
    concept.add(_evenly(accepted, EXAMPLES, rng), True)
    concept.add(_evenly(beside, EXAMPLES // 2, rng), False)
    concept.add(_evenly(others, EXAMPLES // 2, rng), False)
    concept.fit()
    return concept


def _evenly(parts: list[NDArray[np.float32]], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return about `count` rows, as many of each part as possible."""
    filled = [rng.permutation(part) for part in parts if len(part)]
    rows = [part[i] for i in range(count) for part in filled if i < len(part)]
    return np.array(rows[:count], np.float32).reshape(-1, parts[0].shape[1])


def measure(concept: Concept, seen: list[Seen]) -> dict[str, float]:
    """Return F1 on the word's own images, as found and with the truth telling kind from kind, and the precision."""
    own = [s for s in seen if s.word == concept.name]
    found, best = np.zeros(3), np.zeros(3)
    for s in own:
        scores = concept.score(s.candidates.features, s.candidates.layout)
        found += s.f1(scores, scores >= concept.threshold)
        best += s.f1(s.candidates.predicted_iou, s.truth >= 0)
    ranked = [(concept.score(s.candidates.features), s.truth >= 0, s.word == concept.name) for s in seen]
    scores = np.concatenate([score[shows] for score, shows, _ in ranked])
    right = np.concatenate([np.full(np.count_nonzero(shows), own) for _, shows, own in ranked])
    f1, ideal = (float(2 * t[0] / max(1.0, 2 * t[0] + t[1] + t[2])) for t in (found, best))
    return {"f1": f1, "ideal_f1": ideal, "precision": average_precision(scores, right), "images": len(own)}


def measures_up(measured: dict[str, float]) -> bool:
    """Whether a word is shipped."""
    enough = measured["f1"] >= LEAST_SHARE * measured["ideal_f1"] and measured["precision"] >= LEAST_PRECISION
    return enough and measured["images"] > 0


def _candidates(args: argparse.Namespace) -> tuple[list[Seen], list[Seen]]:
    """Return the candidates of training and dev images; with --keep, read or written."""
    if args.keep is not None and args.keep.exists():
        kept: tuple[list[Seen], list[Seen]] = pickle.loads(args.keep.read_bytes())
        return kept
    predictor = Predictor(device="cpu")
    parts: list[list[Seen]] = [[], []]
    for part, (split, limit) in zip(parts, (("train", args.images), ("dev", args.measured)), strict=True):
        for source in SOURCES:
            part += see(predictor, args.data, source, split, limit)
            print(f"{split}: {source.word}", file=sys.stderr, flush=True)
    if args.keep is not None:
        args.keep.write_bytes(pickle.dumps(tuple(parts)))
    return parts[0], parts[1]


def main() -> None:
    """Learn, measure and, with --write, ship."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--images", type=int, default=8, help="training images of a word")
    parser.add_argument("--measured", type=int, default=3, help="dev images of a word")
    parser.add_argument("--keep", type=Path, help="file of the candidates, which a later call reads instead of images")
    parser.add_argument("--write", action="store_true", help="write the concepts that measure up into the package")
    args = parser.parse_args()
    training, dev = _candidates(args)
    words, folder = [], shipped_folder()
    print("| word | F1 | with the truth | average precision | dev images | shipped |\n|---|---|---|---|---|---|")
    for source in SOURCES:
        if not any((s.truth >= 0).any() for s in training if s.word == source.word):
            continue
        concept = learn(source.word, training)
        draft = folder / f"{source.word}.concept"
        folder.mkdir(exist_ok=True)
        concept.save(draft)
        measured = measure(Concept.load(draft), dev)
        shipped = measures_up(measured)
        if not (shipped and args.write):
            draft.unlink()
        numbers = (f"{measured[name]:.2f}" for name in ("f1", "ideal_f1", "precision"))
        row = [source.word, *numbers, f"{measured['images']:.0f}", "yes" if shipped else "no"]
        print(f"| {' | '.join(row)} |", flush=True)
        about = (
            f"learned from training images of {', '.join(source.sets)} ({source.licence}); F1 {measured['f1']:.2f} "
            f"on {measured['images']:.0f} dev images ({measured['ideal_f1']:.2f} with the truth telling kind from kind)"
        )
        if shipped:
            words.append({"name": source.word, "file": draft.name, "synonyms": source.synonyms, "about": about})
    if args.write:
        write_json(folder / INDEX, {"words": words})


if __name__ == "__main__":
    main()
