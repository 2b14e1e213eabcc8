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

_PLACES = ("label", "plane", "y0", "x0", "y1", "x1", "centroid")
"""Beginnings of columns whose mean says nothing."""


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
        The columns of the tables, after "image", the name, and the columns of the image, such as "condition".
    """
    tables = []
    for pair, image in measuring_pairs(images, project).items():
        if pair.out.is_file():
            table = pd.read_csv(pair.out)
            columns = {"image": image.name, **image.entry.groups}
            for place, (name, value) in enumerate(columns.items()):
                table.insert(place, name, value, allow_duplicates=True)
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


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


def means_by_column(objects: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the means of measured properties for each value of a column.

    Images are the independent samples: the mean is that of the images' means, and the spread that between images.

    Parameters
    ----------
    objects : DataFrame
        As `measured_objects` returns it.
    column : str
        A column of the images.

    Returns
    -------
    DataFrame
        A row for each value: "images" with objects, "objects", "objects_per_image", and of each property the mean
        and, as ``NAME_sd``, the standard deviation between images, which one image alone does not have.

    Examples
    --------
    >>> objects = pd.DataFrame({"image": ["a", "a", "b"], "dose": ["0", "0", "0"], "area_px": [10, 20, 25]})
    >>> means_by_column(objects, "dose").round(1).to_dict("records")
    [{'dose': '0', 'images': 2, 'objects': 3, 'objects_per_image': 1.5, 'area_px': 20.0, 'area_px_sd': 7.1}]
    """
    measured = [
        str(name)
        for name in objects.select_dtypes("number").columns
        if not str(name).startswith(_PLACES) and name != column
    ]
    per_image = objects.groupby([column, "image"], dropna=False)
    values, counts = per_image[measured].mean().groupby(column), per_image.size().groupby(column)
    means, spreads = values.mean(), values.std()
    table = pd.DataFrame({"images": counts.size(), "objects": counts.sum(), "objects_per_image": counts.mean()})
    for name in measured:
        table[name], table[f"{name}_sd"] = means[name], spreads[name]
    return table.reset_index()
