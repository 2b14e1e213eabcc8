"""Record of a resumable run: what was asked, which parts are done, which failed and why.

The record is one JSON file, replaced in one step at every save. It lies in `src_models`, the lowest room, so that
training can use it as well as whole images, prompt tables and evaluation; it needs no torch.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from src_models.atomic import write_bytes
from src_models.model_errors import NapariSamError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
Error = TypeVar("Error", bound=NapariSamError)

RESUME_REMEDY = "continue with the same settings, or drop it with {resume=False}"


@dataclass(frozen=True)
class SettingDifference:
    """First setting in which a new request differs from an earlier run.

    Attributes
    ----------
    name : str
        Name of the setting.
    earlier, asked : object
        Its value in the earlier run and in the new request; None where it is missing.
    """

    name: str
    earlier: JsonValue
    asked: JsonValue

    def error(self, where: str, kind: type[Error], remedy: str = RESUME_REMEDY) -> Error:
        """Make an error that names the setting and both values.

        Parameters
        ----------
        where : str
            What was found and where, such as "cells.zarr holds an unfinished run (3 of 8 tiles done)".
        kind : type
            Class of the error.
        remedy : str
            What to do.
        """
        text = f"{where} with {self.name} {self.earlier!r}, but {self.name} is {self.asked!r}"
        return kind(text, parameter=self.name, remedy=remedy)


def first_difference(
    earlier: Mapping[str, JsonValue], asked: Mapping[str, JsonValue], ignored: Collection[str] = ()
) -> SettingDifference | None:
    """Compare the settings of an earlier run with those of a new request; of nested settings the inner one is named.

    Parameters
    ----------
    earlier, asked : mapping
        Settings by name, as JSON.
    ignored : collection of str
        Settings that may differ.

    Returns
    -------
    SettingDifference or None
        The first difference, in the order of `asked`, then of `earlier`; None if there is none.

    Examples
    --------
    >>> first_difference({"side": 512, "seed": 0}, {"side": 256, "seed": 1})
    SettingDifference(name='side', earlier=512, asked=256)
    """
    for name in (*asked, *(n for n in earlier if n not in asked)):
        before, now = earlier.get(name), asked.get(name)
        if name in ignored or before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            return first_difference(before, now)
        return SettingDifference(name, before, now)
    return None


@dataclass
class RunRecord:
    """Record of one run in a JSON file.

    Use `begin` for a new run and `load` for an earlier one; call `save` after changes that must survive a crash.

    Attributes
    ----------
    path : Path
        The file.
    asked : dict
        Everything that decides the result: settings and the identity of inputs, as JSON.
    unit : str
        What the run consists of, in the plural: "tiles", "prompts".
    total : int
        Number of parts.
    run_id : str
        Identifies the run elsewhere, for instance in the journal of a label store.
    begun : float
        When the run began, seconds since 1970; 0 if unknown.
    done : set of str
        Parts that are finished. A run whose parts are visible in other files may leave it empty.
    failed : dict of str to str
        Reason for each part that failed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.json"
    >>> record = RunRecord.begin(path, {"side": 512}, unit="tiles", total=2)
    >>> record.finish("tile 1")
    >>> record.save()
    >>> RunRecord.load(path, unit="tiles").done
    {'tile 1'}
    """

    path: Path
    asked: dict[str, JsonValue]
    unit: str
    total: int
    run_id: str
    begun: float = 0.0
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        path: Path,
        asked: Mapping[str, object],
        *,
        unit: str,
        total: int,
        run_id: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> RunRecord:
        """Start a record and write it.

        Parameters
        ----------
        path : Path
            The file; an earlier record there is replaced.
        asked : mapping
            What was asked; tuples become lists, as in JSON.
        unit : str
            What the run consists of, in the plural.
        total : int
            Number of parts.
        run_id : str, optional
            Identifier; a random one by default.
        clock : callable
            Returns the time in seconds since 1970.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        record = cls(path, as_json(asked), unit, total, run_id or uuid.uuid4().hex, clock())
        record.save()
        return record

    @classmethod
    def load(cls, path: Path, *, unit: str) -> RunRecord | None:
        """Read a record; None if there is none.

        Parameters
        ----------
        path : Path
            The file.
        unit : str
            What the run consists of, as given to `begin`.

        Raises
        ------
        SettingsError
            If the file is damaged: there was a run, but what it was asked is unknown.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
            asked, failed = values.get("about", {}), values.get("failed", {})
            if not isinstance(asked, dict) or not isinstance(failed, dict):
                raise TypeError("settings and failures are no objects")
            return cls(
                path,
                asked,
                unit,
                int(values[unit]),
                str(values["run"]),
                float(values.get("begun", 0.0)),
                {str(part) for part in values.get("done", ())},
                {str(part): str(reason) for part, reason in failed.items()},
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise damaged_record(path, unit, repr(error)[:200]) from error

    def save(self) -> None:
        """Write the record in one step.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        values: dict[str, object] = {"run": self.run_id, "about": self.asked, self.unit: self.total}
        values |= {"begun": self.begun, "done": sorted(self.done), "failed": self.failed}
        write_bytes(self.path, json.dumps(values, indent=1).encode())

    def finish(self, part: str) -> None:
        """Mark a part as done; an earlier failure of it is forgotten."""
        self.done.add(part)
        self.failed.pop(part, None)

    def fail(self, part: str, reason: str) -> None:
        """Mark a part as failed."""
        self.done.discard(part)
        self.failed[part] = reason

    def delete(self) -> None:
        """Delete the file, once the run is complete or dropped."""
        self.path.unlink(missing_ok=True)

    def check_resumable(
        self,
        asked: Mapping[str, object],
        where: str,
        *,
        ignored: Collection[str] = (),
        error: type[NapariSamError] = SettingsError,
    ) -> None:
        """Refuse to continue the run with other settings.

        Parameters
        ----------
        asked : mapping
            What the new request asks.
        where : str
            What was found and where; begins the message.
        ignored : collection of str
            Settings that may differ.
        error : type
            Class of the error.

        Raises
        ------
        NapariSamError
            Of the class `error`; names the first setting that differs, with both values and the remedy.
        """
        now = as_json(asked)
        difference = first_difference({k: v for k, v in self.asked.items() if k in now}, now, ignored)
        if difference is not None:
            raise difference.error(where, error)


def damaged_record(path: Path, unit: str, reason: str) -> SettingsError:
    """Return the error for a record that is needed and cannot be read."""
    return SettingsError(
        f"{path}: the record of an unfinished run is damaged ({reason}), so its {unit} cannot be continued",
        parameter="resume",
        remedy="drop the run with {resume=False}, which begins it again",
    )


def as_json(values: Mapping[str, object]) -> dict[str, JsonValue]:
    """Return values as they read back from JSON, so that both sides of a comparison have the same types.

    >>> as_json({"region": (0, 0, 9, 9)})
    {'region': [0, 0, 9, 9]}
    """
    read: dict[str, JsonValue] = json.loads(json.dumps(dict(values)))
    return read
