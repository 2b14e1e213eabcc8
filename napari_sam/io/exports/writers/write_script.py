"""Write labels as a Python script that makes the same objects again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from napari_sam.io.exports.export_job import ExportJob


def write_script(job: ExportJob) -> None:
    """Write the history of the labels as a script.

    Raises
    ------
    LabelsError
        If only some of the objects are chosen.
    """
    if job.labels is not None:
        raise LabelsError(
            f"labels: {job.path} is a script, which makes all objects again",
            parameter="labels",
            remedy="leave {labels} out, or export to another format",
        )
    job.partial.write_text(job.source.script(job.path.name), encoding="utf-8")
