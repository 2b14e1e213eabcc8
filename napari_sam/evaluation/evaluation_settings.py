"""Settings of an evaluation: what each experiment measures, how a run is made, and how a model is calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from src_models.settings import setting, validate


@dataclass(frozen=True)
class ExperimentSettings:
    """Sizes that several experiments share; None keeps the default of each experiment.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spaced; 0 for all.
    per_image : int or None
        Objects of each image, evenly spaced; 0 for all.
    clicks : int
        Simulated clicks on each object.
    grid : int or None
        Points along each side of the grid that proposes masks.
    """

    max_images: int | None = setting(None, "images per data set, evenly spaced; 0 for all", low=0, label="images")
    per_image: int | None = setting(
        None, "objects per image, evenly spaced; 0 for all", low=0, label="objects per image"
    )
    clicks: int = setting(9, "simulated clicks per object", low=1)
    grid: int | None = setting(None, "points along each side of the grid (the paper: 16 and 64)", low=1, high=256)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)

    def arguments(self, *names: str) -> dict[str, int | None]:
        """Return the values to construct an experiment with, without those that keep its default.

        Parameters
        ----------
        *names : str
            Fields that the experiment takes besides ``max_images``.

        Examples
        --------
        >>> ExperimentSettings(max_images=0, per_image=3).arguments("per_image", "grid")
        {'max_images': None, 'per_image': 3}
        """
        given = {name: getattr(self, name) for name in ("max_images", *names)}
        return {name: value or None for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class RunSettings:
    """How experiments are run.

    Attributes
    ----------
    seed : int
        Seed of all random numbers.
    workers : int or None
        Processes, each with one thread; 0 measures in the calling process. None starts one for each core, or none
        where a GPU is used. The results do not depend on it.
    """

    seed: int = setting(0, "random seed", low=0)
    workers: int | None = setting(None, "processes (default: one for each core, without a GPU)", low=0)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)


class RunKeywords(TypedDict, total=False):
    """The fields of `RunSettings` as keyword arguments."""

    seed: int
    workers: int | None


@dataclass(frozen=True)
class CalibrationSettings:
    """How a mask judge is fitted to labelled images.

    Attributes
    ----------
    images, per_image : int
        Images of each data set and objects of each image, evenly spaced.
    views : int
        Views of each image: the plain one, and random crops of it.
    synthetic : int
        Synthetic images of each style. No network has seen them: its failures on them are honest.
    device : str
        "auto", "cpu", "cuda" or "mps".
    seed : int
        Seed of the views, the clicks and the fit.
    """

    images: int = setting(10, "images per data set, evenly spaced", low=1)
    per_image: int = setting(6, "objects per image, evenly spaced", low=1)
    views: int = setting(2, "views of each image: the plain one and random crops of it", low=1)
    synthetic: int = setting(0, "synthetic images of each style, which no network has seen", low=0)
    device: str = setting("auto", "device: auto, cpu, cuda or mps")
    seed: int = setting(0, "random seed", low=0)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)


class CalibrationKeywords(TypedDict, total=False):
    """The fields of `CalibrationSettings` as keyword arguments."""

    images: int
    per_image: int
    views: int
    synthetic: int
    device: str
    seed: int
