"""What an experiment is: it measures one image at a time, then makes numbers, with intervals, of all of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from napari_sam.evaluation.metrics.bootstrap import Interval, bootstrap_mean, bootstrap_strata
from src_models.settings import validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.predictor import Predictor

Payload = dict[str, Any]
"""What an experiment knows of one image, as JSON holds it."""

OVERALL = "all data sets"


@dataclass(frozen=True)
class SampleResult:
    """What was measured in one image.

    Attributes
    ----------
    dataset, sample : str
        The image.
    payload : dict
        What was measured.
    groups : mapping
        The image's grouping columns.
    position : (float, float) or None
        Latitude and longitude, where a table or the image's entry says it.
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
        The image.
    object : int
        The object's label; 0 for values of the whole image.
    method : str
        What answered: the model, or a baseline.
    protocol : str
        How it was asked, such as "center, 3 points".
    metric : str
        What the value is.
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
    """A number of a data set, or of all: a row of the summary.

    Attributes
    ----------
    method, dataset, protocol, metric : str
        As in `Record`.
    value, low, high : float
        With its interval; NaN where it is not defined.
    n, images : int
        Values, and images they come from.
    note : str
        What limits it.
    """

    method: str
    dataset: str
    protocol: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    images: int
    note: str = ""

    @classmethod
    def of(cls, method: str, dataset: str, protocol: str, metric: str, found: Interval) -> Estimate:
        """From an interval."""
        return cls(
            method, dataset, protocol, metric, found.value, found.low, found.high, found.n, found.images, found.note
        )

    def as_dict(self) -> dict[str, Any]:
        """As a row; what is not defined is None."""
        row = {one.name: getattr(self, one.name) for one in fields(self)}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


class Experiment(ABC):
    """One experiment of the paper, with its settings.

    Attributes
    ----------
    name : str
        On the command line.
    title : str
        In reports.
    kind : str
        The `Sample.kind` that it needs.
    needs_model : bool
        Whether a network answers.
    max_images : int or None
        Images of each data set, evenly spread.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[str] = "objects"
    needs_model: ClassVar[bool] = True
    version: ClassVar[int] = 1
    max_images: int | None = None

    def __post_init__(self) -> None:
        """Check the settings of a subclass, which is a frozen dataclass."""
        validate(self)

    @property
    def id(self) -> str:
        """What tells it from other experiments of a run; the name, where there is one of it."""
        return self.name

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that a measurement depends on besides the image and the model, as JSON holds it."""

    def for_sample(self, sample: Sample) -> Experiment:
        """The experiment with only what it needs for one image, to be sent to another process."""
        return self

    @abstractmethod
    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:
        """Measure one image.

        Raises
        ------
        NapariSamError
            If it cannot be measured.
        """

    @abstractmethod
    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:
        """All values, one by one."""

    @abstractmethod
    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:
        """The numbers of every data set, and of all."""


def mean_estimates(records: Iterable[Record], seed: int, *, overall: bool = True) -> list[Estimate]:
    """Means of records by data set, then over data sets, with intervals over images; in the order of the records."""
    cells: dict[tuple[str, str, str], dict[str, tuple[list[float], list[str]]]] = {}
    for one in records:
        key = (one.method, one.protocol, one.metric)
        values, images = cells.setdefault(key, {}).setdefault(one.dataset, ([], []))
        if not math.isnan(one.value):
            values.append(one.value)
            images.append(one.sample)
    out = []
    for (method, protocol, metric), by_set in cells.items():
        for dataset, (values, images) in sorted(by_set.items()):
            found = bootstrap_mean(values, images, seed=seed)
            out.append(Estimate.of(method, dataset, protocol, metric, found))
        if overall and len(by_set) > 1:
            found = bootstrap_strata(list(by_set.values()), seed=seed)
            out.append(Estimate.of(method, OVERALL, protocol, metric, found))
    return out
