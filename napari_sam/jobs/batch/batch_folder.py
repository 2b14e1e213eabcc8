"""The records of a batch on disk, one file for each image, and the table made of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.json_files import read_json_object
from napari_sam.jobs.batch.image_record import DONE, ImageRecord
from src_models.atomic import replacing, write_json

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_RECORDS = ".batch"
_LONGEST_NAME = 150


class BatchFolder:
    """The records of one command over many images.

    Each image has a file of its own, replaced in one step, so that several processes can work on one folder.

    Parameters
    ----------
    records : Path
        Folder of the records; made when the first is written.
    outputs : Path
        Folder of the outputs.
    table : Path
        The table of all images, a .csv file.

    Attributes
    ----------
    outputs, table : Path
        As given.
    """

    def __init__(self, records: Path, outputs: Path, table: Path) -> None:
        self._records, self.outputs, self.table = records, outputs, table

    @classmethod
    def beside(cls, outputs: Path, command: str) -> BatchFolder:
        """Return the records of a command whose outputs lie in a folder, in which they are hidden."""
        return cls(outputs / _RECORDS / command, outputs, outputs / f"{command}_summary.csv")

    def read(self, output: str) -> ImageRecord | None:
        """Return the record of an output.

        Returns
        -------
        ImageRecord or None
            None if there is none. A damaged record counts as none: its output tells what there is.
        """
        try:
            record = ImageRecord.from_json(read_json_object(self._path(output)))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return record if record.output == output else None

    def write(self, record: ImageRecord) -> None:
        """Write a record.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        path = self._path(record.output)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, record.as_json(), durable=False)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error.strerror})", remedy="free some space, or make the folder writable"
            ) from error

    def records(self) -> list[ImageRecord]:
        """Return all records whose output is there, or that failed, in the order of the images."""
        found = []
        for path in self._records.glob("*.json"):
            try:
                record = ImageRecord.from_json(read_json_object(path))
            except (OSError, ValueError, TypeError, KeyError):
                continue
            if record.state != DONE or (self.outputs / record.output).exists():
                found.append(record)
        return sorted(found, key=lambda record: (record.columns.get("name", record.source).casefold(), record.source))

    def data_frame(self) -> pd.DataFrame:
        """Return the table of all images."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        columns = list(ImageRecord("", "", DONE, {}).row())
        table = pd.DataFrame([record.row() for record in self.records()])
        if not len(table):
            return pd.DataFrame(columns=columns)
        return table.astype({"objects": "Int64"})  # whole numbers beside unknown ones

    def write_table(self) -> Path:
        """Write the table of all images, in one step.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        from napari_sam.io.table_cells import plain_cells  # noqa: PLC0415 - imports pandas

        table = self.data_frame()
        try:
            with replacing(self.table, durable=False) as temporary:
                plain_cells(table).to_csv(temporary, index=False)
        except OSError as error:
            raise StoreError(
                f"{self.table}: cannot be written ({error.strerror})",
                remedy="close it elsewhere, or free some space",
            ) from error
        return self.table

    def _path(self, output: str) -> Path:
        if len(output) > _LONGEST_NAME:  # a file name of its own, with ".json" and the ending of a partial file
            output = f"{output[:_LONGEST_NAME]}-{hashlib.sha256(output.encode()).hexdigest()[:12]}"
        return self._records / f"{output}.json"
