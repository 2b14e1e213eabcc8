"""Candidates that need no network, a concept that tells bright objects from dim ones, and `find` with both.

Run as a module, ``tests.jobs.find.bright_candidates IMAGE OUT CANDIDATES STEP``, it kills its own process at a step of
its progress.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

import napari_sam as ns
from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.jobs.concept_search.concept_finder import ConceptFinder
from napari_sam.jobs.find.find import concept_search
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.jobs.run_options import RunOptions
from napari_sam.jobs.segment_image import segment_image
from tests.jobs.bright_finder import BrightFinder

BRIGHT, DIM = 200, 90


def layout_of(predictor):
    model = predictor.embedder.model
    return FeatureLayout.of_network(model.weights, model.name, 4)


def features_of(brightness, layout):
    """Features that hold nothing but the brightness."""
    column = np.asarray(brightness, np.float32).reshape(-1, 1) / 255
    return np.repeat(column, layout.width, axis=1)


def bright_concept(predictor, name="bright"):
    layout = layout_of(predictor)
    concept = ns.Concept(layout, name)
    concept.diameter_px = 20.0
    concept.add_population(features_of([BRIGHT, BRIGHT - 5, DIM, DIM + 5], layout))
    concept.add(features_of([BRIGHT], layout), [True])
    concept.add(features_of([DIM], layout), [False])
    concept.fit()
    return concept


class BrightCandidates(BrightFinder):
    """Candidates are the connected pixels above 0."""

    min_predicted_iou = 0.2

    def __init__(self, predictor, **more):
        super().__init__(predictor, **more)
        self.layout = layout_of(predictor)

    def candidates(self, region, factor, computed):
        found = self.finish(region, factor, computed)
        slices = ndimage.find_objects(found.labels)
        masks = tuple(found.labels[s] == i for i, s in enumerate(slices, 1))
        corners = [(s[0].start, s[1].start, s[0].stop, s[1].stop) for s in slices]
        boxes = np.array(corners, np.int64).reshape(-1, 4) * factor + np.array(region[:2] * 2)
        shown = found.labels[: computed.shape[0], : computed.shape[1]]
        brightness = ndimage.mean(computed, shown, np.arange(1, len(masks) + 1))
        features = features_of(brightness, self.layout)
        return Candidates(boxes, masks, found.predicted_iou, found.stability_score, features, self.layout, factor)


class BrightSearch:
    """Call as `find`; the candidates need no network. `finders` holds the finder of each call."""

    def __init__(self):
        self.finders = []

    def __call__(self, image, concept, predictor, output=None, *, candidates=None, side=64, **keywords):
        names = RunOptions.__dataclass_fields__
        options = RunOptions(**{name: keywords.pop(name) for name in list(keywords) if name in names})
        settings = FindSettings(side=side, **keywords)
        search = concept_search(concept, settings, candidates)
        found = settings.for_concept(search.concept)
        return segment_image(image, predictor, output, found, options, self._build, search)

    def _build(self, spec, predictor):
        self.finders.append(BrightCandidates(predictor))
        return ConceptFinder(self.finders[-1], spec.concept)


def main(image, out, candidates, step):
    steps = []

    def progress(done, total):
        steps.append(done)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    predictor = ns.Predictor(device="cpu")
    search = BrightSearch()
    report = search(
        image, bright_concept(predictor), predictor, out, candidates=Path(candidates), resume=True, progress=progress
    )
    report.labels.close()


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
