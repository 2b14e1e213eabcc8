"""What a command of ``evaluate`` is to measure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.evaluation_settings import ExperimentSettings, RunSettings


@dataclass(frozen=True)
class EvaluationRequest:
    """The parsed command line of an experiment.

    Attributes
    ----------
    name : str
        The experiment's word on the command line.
    args : argparse.Namespace
        All options.
    data : Path
        The labelled images.
    experiment : ExperimentSettings
        Sizes of the experiments.
    run : RunSettings
        Seed and processes.
    """

    name: str
    args: argparse.Namespace
    data: Path
    experiment: ExperimentSettings
    run: RunSettings

    @property
    def by(self) -> list[str] | None:
        """The grouping columns of ``--by``."""
        by: list[str] | None = getattr(self.args, "by", None)
        return by

    @cached_property
    def group_table(self) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """The rows of ``--table``, by data set and sample; empty without the option and for text."""
        from napari_sam.evaluation.datasets.group_columns import read_group_table  # noqa: PLC0415 - starts quickly

        return {} if self.args.table is None or self.name == "text" else read_group_table(self.args.table)

    def group_columns(self, samples: Iterable[Sample]) -> list[str]:
        """Return the columns to group by: those of ``--by``, or all that the images have."""
        if self.by is not None:
            return self.by
        present = {name for sample in samples for name in sample.groups}
        table = [c for c in next(iter(self.group_table.values()), {}) if c not in ("latitude", "longitude")]
        return [c for c in ("dataset", "modality", *table) if c in present]
