"""The interface of an experiment: it measures one image at a time, and summarises all of them with intervals."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from napari_sam.evaluation.metrics.bootstrap import Interval, bootstrap_mean, bootstrap_strata
from src_models.settings import validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.predictor import Predictor

Payload = dict[str, Any]
"""What an experiment measured in one image, as JSON stores it."""

OVERALL = "all data sets"
"""Name of the data set in estimates over all data sets."""


@dataclass(frozen=True)
class SampleResult:
    """What was measured in one image.

    Attributes
    ----------
    dataset, sample : str
        Data set and name of the image.
    payload : dict
        The measured values.
    groups : mapping of str to str
        Grouping columns of the image.
    position : (float, float) or None
        Latitude and longitude, if a table or the image's entry gives them.
    """

    dataset: str
    sample: str
    payload: Payload
    groups: Mapping[str, str] = field(default_factory=dict)
    position: tuple[float, float] | None = None


@dataclass(frozen=True)
class Record:
    """One measured value: a row of the tidy table.

    Attributes
    ----------
    dataset, sample : str
        Data set and name of the image.
    object : int
        Label of the object; 0 for values of the whole image.
    method : str
        The model or baseline that answered.
    protocol : str
        The prompts, such as "center".
    metric : str
        Name of the value.
    value : float
        The value.
    """

    dataset: str
    sample: str
    object: int
    method: str
    protocol: str
    metric: str
    value: float


@dataclass(frozen=True)
class Estimate:
    """An estimate for one data set, or for all: a row of the summary.

    Attributes
    ----------
    method, dataset, protocol, metric : str
        As in `Record`.
    interval : Interval
        The estimate with its confidence interval.
    """

    method: str
    dataset: str
    protocol: str
    metric: str
    interval: Interval

    @property
    def value(self) -> float:
        """The estimate; NaN if undefined."""
        return self.interval.value

    def as_row(self) -> dict[str, str | float | int | None]:
        """Return the estimate as a row of `SUMMARY_COLUMNS`; None for undefined numbers."""
        texts = {name: getattr(self, name) for name in ("method", "dataset", "protocol", "metric")}
        row = texts | asdict(self.interval)
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


SUMMARY_COLUMNS = ("method", "dataset", "protocol", "metric", *(f.name for f in fields(Interval)))
"""Columns of `Estimate.as_row`."""


class Experiment(ABC):
    """One experiment of the paper with its settings; subclasses are frozen dataclasses.

    Attributes
    ----------
    name : str
        Name on the command line.
    title : str
        Title in reports.
    kind : str
        The `Sample.kind` that it needs.
    needs_model : bool
        Whether a network answers.
    version : int
        Raised when results change; stored results of other versions are not reused.
    max_images : int or None
        Images of each data set, evenly spaced; None for all.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[str] = "objects"
    needs_model: ClassVar[bool] = True
    version: ClassVar[int] = 1
    max_images: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        validate(self)

    @property
    def id(self) -> str:
        """Identifier among the experiments of a run; the name unless an experiment can occur several times."""
        return self.name

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return everything, as JSON stores it, that a measurement depends on besides image, model and seed."""

    def for_sample(self, sample: Sample) -> Experiment:
        """Return the experiment with only what it needs for one image, to send to another process."""
        return self

    @abstractmethod
    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:
        """Measure one image.

        Parameters
        ----------
        sample : Sample
            The image.
        predictor : Predictor or None
            The model; None if the experiment needs none.
        seed : int
            Random seed.

        Raises
        ------
        NapariSamError
            If the image cannot be measured.
        """

    @abstractmethod
    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:
        """Yield all values of some images, which a method called `method` answered."""

    @abstractmethod
    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:
        """Estimate all metrics for every data set, and for all together."""


def require_predictor(predictor: Predictor | None) -> Predictor:
    """Return the predictor of an experiment that needs one."""
    if predictor is None:
        raise TypeError("this experiment needs a predictor")
    return predictor


def open_sample(predictor: Predictor | None, sample: Sample) -> tuple[Predictor, GroundTruth]:
    """Return the required predictor with the image of a sample, and the ground truth of the same shape."""
    predictor = require_predictor(predictor)
    predictor.set_image(sample.source())
    return predictor, sample.truth(predictor.image.shape)


def mean_estimates(records: Iterable[Record], seed: int) -> list[Estimate]:
    """Estimate means by data set and over data sets, with intervals over images, in the order of the records.

    Parameters
    ----------
    records : iterable of Record
        Values; NaNs are skipped.
    seed : int
        Seed of the bootstrap.
    """
    cells: dict[tuple[str, str, str], dict[str, tuple[list[float], list[str]]]] = {}
    for record in records:
        key = (record.method, record.protocol, record.metric)
        values, images = cells.setdefault(key, {}).setdefault(record.dataset, ([], []))
        if not math.isnan(record.value):
            values.append(record.value)
            images.append(record.sample)
    estimates = []
    for (method, protocol, metric), strata in cells.items():
        for dataset, (values, images) in sorted(strata.items()):
            estimates.append(Estimate(method, dataset, protocol, metric, bootstrap_mean(values, images, seed=seed)))
        if len(strata) > 1:
            interval = bootstrap_strata(list(strata.values()), seed=seed)
            estimates.append(Estimate(method, OVERALL, protocol, metric, interval))
    return estimates
