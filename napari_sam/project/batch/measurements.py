"""The measurements of all images of a project as one table, and their means by condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from napari_sam.errors import SettingsError
from napari_sam.project.batch.batch_files import measuring_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.project.project_image import ProjectImage

_PLACES = ("label", "category", "plane", "y0", "x0", "y1", "x1", "centroid")
"""Beginnings of columns whose mean says nothing."""

_TEXTS = {"category": str}
"""Columns that are no numbers even if all of their values look like some."""


def measured_objects(images: Sequence[ProjectImage], project: Path) -> pd.DataFrame:
    """Return the measurements of all images that were measured, a row for each object.

    Parameters
    ----------
    images : sequence of ProjectImage
        Images of the project.
    project : Path
        Its folder.

    Returns
    -------
    DataFrame
        The columns of the tables, after "image" and "image_id", which also differs for files of the same name, and the
        columns of the image, such as "condition".
    """
    tables = []
    for path, image in _measured(images, project):
        table = pd.read_csv(path, dtype=_TEXTS, keep_default_na=False, na_values=[""])  # a class may be "NA"
        columns = {"image": image.name, "image_id": image.image_id, **image.entry.groups}
        own = table.drop(columns=table.columns.intersection(list(columns)))
        tables.append(pd.concat([pd.DataFrame(columns, index=own.index), own], axis=1))
    filled = [table for table in tables if len(table)] or tables[:1]  # columns without rows have no type of their own
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def check_column(images: Sequence[ProjectImage], column: str) -> None:
    """Refuse a column that no image has.

    Raises
    ------
    SettingsError
        Names the columns that there are.
    """
    known = sorted({name for image in images for name in image.entry.groups})
    if column not in known:
        raise SettingsError(
            f"by is {column!r}, which no image has as a column",
            parameter="by",
            remedy=f"choose from {', '.join(known)}"
            if known
            else "set columns with 'project set --group COLUMN=VALUE'",
        )


def measured_images(images: Sequence[ProjectImage], project: Path) -> pd.DataFrame:
    """Return a row for each image that was measured, also one without objects, with "image_id" and its columns.

    Parameters are as in `measured_objects`.
    """
    return pd.DataFrame([{"image_id": image.image_id, **image.entry.groups} for _, image in _measured(images, project)])


def _measured(images: Sequence[ProjectImage], project: Path) -> list[tuple[Path, ProjectImage]]:
    """Return the tables of measurements that there are, with their images."""
    pairs = measuring_pairs(images, project)
    return [(pair.out, image) for pair, image in pairs.items() if pair.out.is_file()]


def means_by_column(objects: pd.DataFrame, images: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the means of measured properties for each value of a column.

    Images are the independent samples: the mean is that of the images' means, and the spread that between images.

    Parameters
    ----------
    objects : DataFrame
        As `measured_objects` returns it.
    images : DataFrame
        As `measured_images` returns it.
    column : str
        A column of the images.

    Raises
    ------
    SettingsError
        If none of these images has the column.

    Returns
    -------
    DataFrame
        A row for each value: "images", "objects", "objects_per_image", to which images without objects count, and of
        each property the mean over images with objects and, as ``NAME_sd``, the standard deviation between these,
        which one image alone does not have.

    Examples
    --------
    >>> images = pd.DataFrame({"image_id": ["a", "b", "c"], "dose": ["0", "0", "0"]})
    >>> objects = pd.DataFrame({"image_id": ["a", "a", "b"], "dose": ["0", "0", "0"], "area_px": [10, 20, 25]})
    >>> means_by_column(objects, images, "dose").round(1).to_dict("records")
    [{'dose': '0', 'images': 3, 'objects': 3, 'objects_per_image': 1.0, 'area_px': 20.0, 'area_px_sd': 7.1}]
    """
    if column not in images:
        raise SettingsError(
            f"by is {column!r}, which no measured image has as a column",
            parameter="by",
            remedy="set it for images that have objects, with 'project set --group COLUMN=VALUE'",
        )
    measured = [
        str(name)
        for name in objects.select_dtypes("number").columns
        if not str(name).startswith(_PLACES) and name not in images
    ]
    values = objects.groupby([column, "image_id"], dropna=False)[measured].mean().groupby(column)
    found = objects["image_id"].value_counts().reindex(images["image_id"], fill_value=0).to_numpy()
    counts = pd.Series(found, index=images.index).groupby(images[column])
    means, spreads = values.mean(), values.std()
    table = pd.DataFrame({"images": counts.size(), "objects": counts.sum(), "objects_per_image": counts.mean()})
    for name in measured:
        table[name], table[f"{name}_sd"] = means[name], spreads[name]
    return table.reset_index()
