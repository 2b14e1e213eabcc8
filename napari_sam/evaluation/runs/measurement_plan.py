"""Which image is measured by which experiments and models, and the keys under which results are stored."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import select_samples
from napari_sam.evaluation.runs.result_store import measurement_key

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Experiment
    from napari_sam.evaluation.runs.model_spec import ModelSpec

_NEEDS = {"boundaries": "boundaries drawn by people, as BSDS500 has"}


@dataclass(frozen=True)
class PlannedMeasurement:
    """One experiment on one image with one model.

    Attributes
    ----------
    key : str
        Key of the result in the `ResultStore`.
    experiment_id : str
        `Experiment.id`.
    model_name : str
        Empty if the experiment needs no model.
    sample : Sample
        The image.
    """

    key: str
    experiment_id: str
    model_name: str
    sample: Sample


@dataclass(frozen=True, eq=False)
class MeasurementJob:
    """The experiments to run on one image with one model, sent to a process together; equal to itself only.

    Attributes
    ----------
    model : ModelSpec or None
        None for experiments without a network.
    sample : Sample
        The image.
    experiments : tuple of (str, Experiment)
        Result keys and experiments.
    seed : int
        Random seed.
    """

    model: ModelSpec | None
    sample: Sample
    experiments: tuple[tuple[str, Experiment], ...]
    seed: int

    def without(self, keys: Container[str]) -> MeasurementJob:
        """Return the job without the measurements of these keys."""
        return replace(self, experiments=tuple(pair for pair in self.experiments if pair[0] not in keys))


@dataclass
class MeasurementPlan:
    """All measurements of a run.

    Attributes
    ----------
    measurements : list of PlannedMeasurement
        In the order of experiments, models and samples.
    jobs : list of MeasurementJob
        The same measurements, one job for each model and image.
    """

    measurements: list[PlannedMeasurement] = field(default_factory=list)
    jobs: list[MeasurementJob] = field(default_factory=list)

    @property
    def keys(self) -> set[str]:
        """Keys of all results."""
        return {planned.key for planned in self.measurements}


def plan_measurements(
    experiments: Sequence[Experiment],
    models: Sequence[ModelSpec],
    samples: Sequence[Sample],
    seed: int,
    fingerprints: Mapping[str, str],
) -> MeasurementPlan:
    """List every measurement of a run.

    Parameters
    ----------
    experiments : sequence of Experiment
        Experiments; each takes the samples of its kind.
    models : sequence of ModelSpec
        Models; experiments without a network are planned once.
    samples : sequence of Sample
        Images.
    seed : int
        Random seed.
    fingerprints : mapping of str to str
        What determines the answers of each model, by its name.

    Raises
    ------
    EvaluationError
        If no sample fits an experiment.
    """
    plan = MeasurementPlan()
    grouped: dict[tuple[str, int], list[tuple[str, Experiment]]] = {}
    jobs: dict[tuple[str, int], tuple[ModelSpec | None, Sample]] = {}
    indices = {id(sample): i for i, sample in enumerate(samples)}
    for experiment in experiments:
        selected = _fitting_samples(experiment, samples)
        settings = experiment.settings()  # may read the state of many files: once per experiment
        for model in models if experiment.needs_model else [None]:
            model_name = model.name if model else ""
            for sample in selected:
                key = measurement_key(
                    experiment=experiment.name,
                    version=experiment.version,
                    settings=settings,
                    model=fingerprints.get(model_name, ""),
                    sample=[sample.dataset, sample.name, sample.identity],
                    seed=seed,
                )
                plan.measurements.append(PlannedMeasurement(key, experiment.id, model_name, sample))
                job_id = (model_name, indices[id(sample)])
                jobs[job_id] = (model, sample)
                grouped.setdefault(job_id, []).append((key, experiment.for_sample(sample)))
    plan.jobs = [MeasurementJob(*jobs[job_id], tuple(pairs), seed) for job_id, pairs in grouped.items()]
    return plan


def _fitting_samples(experiment: Experiment, samples: Sequence[Sample]) -> list[Sample]:
    fitting = [sample for sample in samples if sample.kind == experiment.kind]
    selected = select_samples(fitting, experiment.max_images)
    if not selected:
        needed = _NEEDS.get(experiment.kind, "objects")
        raise EvaluationError(
            f"{experiment.name}: none of the {len(samples)} images has {needed}", remedy="use other data"
        )
    return selected
