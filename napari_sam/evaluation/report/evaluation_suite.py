"""All results of a run: estimates, the table of groups, and paired differences between models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from napari_sam.evaluation.experiments.stacks.external_stacks import ExternalStackExperiment
from napari_sam.evaluation.experiments.whole_images import ExternalLabelExperiment
from napari_sam.evaluation.metrics.bootstrap import PairedDifference, paired_difference
from napari_sam.evaluation.report.group_table import group_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_sam.evaluation.experiments.experiment import Estimate, Experiment, Record, SampleResult
    from napari_sam.evaluation.report.group_table import GroupRow
    from napari_sam.evaluation.runs.experiment_runner import MeasurementResults
    from napari_sam.evaluation.runs.model_spec import ModelSpec

    _Scores = dict[tuple[str, str, int], float]
    """Values by data set, sample and object."""

TABLE_OF = {
    "baselines": "points",
    "edge baselines": "edges",
    "labels of others": "everything",
    "volumes of others": "volumes everything",
    "tracks of others": "tracking everything",
}
"""Experiments whose rows belong in the table of another experiment."""

_COMPARED_METRICS = {
    "points": (("center", "IoU@1"), ("center", "IoU@3"), ("random", "IoU@1"), ("box", "IoU"), ("box + 1 point", "IoU")),
    "proposals": (("multimask, all", "AR@1000"),),
    "instances": (("refined", "IoU"),),
    "everything": (("whole image", "mSA"), ("whole image", "PQ")),
    "edges": (("boundaries", "best F"),),
    "text": (("text", "IoU"),),
    "volumes": (("followed", "IoU"), ("clicks", "IoU")),
    "volumes everything": (("linked", "mSA"), ("linked", "PQ")),
    "tracking": (("followed", "J&F"),),
    "tracking everything": (("linked", "SEG"), ("linked", "TRA")),
}
"""Protocols and metrics by which models are compared, object by object or image by image."""


@dataclass(frozen=True)
class ModelDifference:
    """The difference of two models in one metric, on the same objects or images.

    Attributes
    ----------
    experiment, protocol, metric : str
        What is compared.
    first, second : str
        Names of the two models.
    difference : PairedDifference
        First minus second.
    """

    experiment: str
    protocol: str
    metric: str
    first: str
    second: str
    difference: PairedDifference


@dataclass
class EvaluationSuite:
    """The results of a run and all estimates from them.

    Parameters
    ----------
    experiments : list of Experiment
        Experiments of the run.
    models : list of ModelSpec
        Models of the run.
    measured : MeasurementResults
        Results of the run.
    seed : int
        Seed of the run and of the bootstrap.
    columns : list of str
        Grouping columns.
    about : dict of str to str
        Further facts for the report: "command" and "data".

    Attributes
    ----------
    estimates : dict of str to list of Estimate
        Estimates by the name of their table.
    groups : dict of str to list of GroupRow
        Table of groups by the name of the model.
    """

    experiments: list[Experiment]
    models: list[ModelSpec]
    measured: MeasurementResults
    seed: int = 0
    columns: list[str] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compute all estimates once."""
        self.estimates: dict[str, list[Estimate]] = {}
        for experiment, model, results in self.parts():
            estimates = experiment.summary(results, model or experiment.title, self.seed)
            self.estimates.setdefault(table_name(experiment), []).extend(estimates)
        self.groups: dict[str, list[GroupRow]] = {}
        for spec in self.models:
            results = self.measured.results.get(("points", spec.name), [])
            if results and self.columns:
                self.groups[spec.name] = group_table(results, self.columns, seed=self.seed)

    @property
    def compared(self) -> list[str]:
        """Names of the models, and of other programs whose results were given."""
        tools = [e.tool for e in self.experiments if isinstance(e, ExternalLabelExperiment | ExternalStackExperiment)]
        return [*(spec.name for spec in self.models), *tools]

    def parts(self) -> Iterator[tuple[Experiment, str, list[SampleResult]]]:
        """Yield each experiment with the name of a model ("" if it needs none) and its results, if there are any."""
        for experiment in self.experiments:
            for model in [spec.name for spec in self.models] if experiment.needs_model else [""]:
                results = self.measured.results.get((experiment.id, model))
                if results:
                    yield experiment, model, results

    def records(self) -> Iterator[tuple[str, str, Record]]:
        """Yield all values of all experiments, with the names of the experiment and of the model."""
        for experiment, model, results in self.parts():
            for record in experiment.records(results, model or experiment.title):
                yield experiment.name, model, record

    def summary(self) -> list[tuple[str, Estimate]]:
        """Return all estimates with the name of their table."""
        return [(name, estimate) for name, estimates in self.estimates.items() for estimate in estimates]

    def differences(self) -> list[ModelDifference]:
        """Compare every pair of models and other programs, metric by metric, on the same objects or images."""
        compared = self.compared
        scores: dict[tuple[str, str, str], dict[str, _Scores]] = {}
        for experiment, _, record in self.records():
            name = TABLE_OF.get(experiment, experiment)
            cell = (record.protocol, record.metric)
            if cell in _COMPARED_METRICS.get(name, ()) and record.method in compared:
                by_object = scores.setdefault((name, *cell), {}).setdefault(record.method, {})
                by_object[record.dataset, record.sample, record.object] = record.value
        return [
            ModelDifference(*metric, a, b, self._difference(by_method[a], by_method[b]))
            for metric, by_method in scores.items()
            for a, b in combinations([name for name in compared if name in by_method], 2)
            if by_method[a].keys() & by_method[b].keys()
        ]

    def _difference(self, first: Mapping[tuple[str, str, int], float], second: _Scores) -> PairedDifference:
        common = [k for k in first if k in second and not math.isnan(first[k] + second[k])]
        images = [f"{dataset}/{sample}" for dataset, sample, _ in common]
        return paired_difference([first[k] for k in common], [second[k] for k in common], images, seed=self.seed)


def table_name(experiment: Experiment) -> str:
    """Return the name of the table that shows an experiment."""
    return TABLE_OF.get(experiment.name, experiment.name)
