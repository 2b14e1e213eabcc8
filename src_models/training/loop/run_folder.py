"""Output folder of a training or pre-training run: networks, the state to resume from, tables and pictures.

The state is a file of torch, ``state.pt``, because it holds tensors; otherwise it is what `RunRecord` is for other
runs: it names the settings and the data of the run, and only a run with the same settings and data can resume from it.
"""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from src_models.atomic import replacing
from src_models.checkpoints.adapters import AdapterBase, save_adapter
from src_models.checkpoints.checkpoint_files import save_sam
from src_models.checkpoints.checkpoint_writing import replacing_checkpoint
from src_models.checkpoints.state_dicts import UNREADABLE
from src_models.model_errors import CheckpointError, TrainingError
from src_models.run_record import first_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from src_models.networks.promptable import PromptableNetwork

_SPACE = "free some space and run the same command again"


@dataclass(frozen=True)
class RunIdentity:
    """Everything that decides the result of a run.

    Attributes
    ----------
    config : dict
        Settings by name, of types that ``torch.load(weights_only=True)`` reads.
    data : int
        Checksum of the data.
    may_change : frozenset of str
        Settings that may differ when the run is resumed.
    completed : callable
        Adds the settings that an earlier version did not have to its settings, with their defaults.
    """

    config: dict[str, Any]
    data: int
    may_change: frozenset[str]
    completed: Callable[[Mapping[str, Any]], dict[str, Any]] = dict


class RunFolder:
    """Output folder of a run; makes it if necessary.

    Parameters
    ----------
    path : Path
        The folder.

    Raises
    ------
    TrainingError
        If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{path} cannot be made: {error.strerror}"
            raise TrainingError(message, parameter="out", remedy="choose another folder") from error

    @property
    def model_path(self) -> Path:
        """Path of the network for use."""
        return self.path / "model.safetensors"

    @property
    def state_path(self) -> Path:
        """Path of the state to resume from."""
        return self.path / "state.pt"

    def save_network(
        self,
        net: PromptableNetwork,
        step: int,
        *,
        name: str = "model",
        with_step: bool = True,
        base: AdapterBase | None = None,
    ) -> None:
        """Write a network for use, in one step.

        Parameters
        ----------
        net : PromptableNetwork
            The network.
        step : int
            Steps done.
        name : str
            Name of the file, without its suffix.
        with_step : bool
            Store the step in the file.
        base : AdapterBase, optional
            The network without its low-rank updates: only what was trained is written, as an adapter of it.

        Raises
        ------
        TrainingError
            If it cannot be written; the earlier file stays.
        """
        metadata = {"step": str(step)} if with_step else None
        with _saving(step):
            path = self.path / f"{name}.safetensors"
            if base is None:
                save_sam(net, path, metadata=metadata)
            else:
                save_adapter(net, path, base, metadata)

    def save_state(self, identity: RunIdentity, step: int, parts: Mapping[str, object]) -> None:
        """Write the state to resume from, in one step.

        Parameters
        ----------
        identity : RunIdentity
            Settings and data of the run.
        step : int
            Steps done.
        parts : mapping
            State dicts and numbers by name.

        Raises
        ------
        TrainingError
            If it cannot be written; the earlier state stays.
        """
        state = {"step": step, **parts, "config": identity.config, "data": identity.data}
        with _saving(step), replacing_checkpoint(self.state_path) as temporary:
            torch.save(state, temporary)

    @contextmanager
    def resuming(
        self, identity: RunIdentity, parts: tuple[str, ...], device: torch.device
    ) -> Iterator[dict[str, Any] | None]:
        """Read the state to resume from; errors inside the context are reported as those of a damaged file.

        Parameters
        ----------
        identity : RunIdentity
            Settings and data of the run.
        parts : tuple of str
            Names of the parts that the state must have.
        device : torch.device
            Device of its tensors.

        Yields
        ------
        dict or None
            The state; None if there is none.

        Raises
        ------
        TrainingError
            If it is damaged, or belongs to a run with other settings or data.
        """
        if not self.state_path.exists():
            yield None
            return
        try:
            state: dict[str, Any] = torch.load(self.state_path, map_location=device, weights_only=True)
            if missing := {"step", "config", "data", *parts} - set(state):
                raise KeyError(f"no {min(missing)}")
            self._check_same(state, identity)
            yield state
        except TrainingError:
            raise
        except UNREADABLE as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            message = f"{self.state_path} cannot be read ({reason})"
            raise TrainingError(message, remedy="delete it, or move it away, to start again") from error

    def _check_same(self, state: Mapping[str, Any], identity: RunIdentity) -> None:
        remedy = "choose another {out}, or set start to its model.safetensors for a new run"
        difference = first_difference(identity.completed(state["config"]), identity.config, identity.may_change)
        if difference is not None:
            raise difference.error(f"{self.state_path} belongs to a run", TrainingError, remedy)
        if state["data"] != identity.data:
            message = f"{self.state_path} belongs to a run with other data (files have changed)"
            raise TrainingError(message, remedy=remedy)

    def append(self, table: str, row: Mapping[str, float]) -> None:
        """Append a row to a CSV table, with a header if the table is new.

        Parameters
        ----------
        table : str
            Name of the file, without its suffix.
        row : mapping of str to float
            Values by column.

        Raises
        ------
        TrainingError
            If it cannot be written.
        """
        path = self._table(table)
        new = not path.exists()
        try:
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if new:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise TrainingError(f"{path} cannot be written ({error.strerror})", remedy=_SPACE) from error

    def drop_rows_after(self, table: str, step: int) -> None:
        """Remove the rows that an interrupted run wrote after its last checkpoint, so that no step occurs twice."""
        path = self._table(table)
        if not path.exists():
            return
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        if not rows or "step" not in rows[0]:
            path.unlink()
            return
        width, column = len(rows[0]), rows[0].index("step")
        kept = [rows[0], *(row for row in rows[1:] if len(row) == width and int(row[column]) <= step)]
        with replacing_checkpoint(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows(kept)

    def column(self, table: str, name: str) -> list[tuple[int, float]]:
        """Return step and value of each row of a CSV table that has both; none without the table."""
        path = self._table(table)
        if not path.exists():
            return []
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("step") and row.get(name)]
        return [(int(row["step"]), float(row[name])) for row in rows]

    def save_picture(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Write a picture (H, W, 3) as PNG to the folder ``pictures``.

        Raises
        ------
        TrainingError
            If it cannot be written.
        """
        path = self.path / "pictures" / f"{name}.png"
        try:
            with replacing(path) as temporary:
                Image.fromarray(pixels).save(temporary, "PNG")
        except OSError as error:
            raise TrainingError(f"{path} cannot be written ({error.strerror})", remedy=_SPACE) from error

    def diverged(self, step: int, reason: str, learning_rate: float) -> TrainingError:
        """Make the error of a loss or gradient that is not finite."""
        message = f"step {step}: {reason} (learning_rate is {learning_rate}, the last checkpoint is in {self.path})"
        remedy = "lower learning_rate and run again, which continues from the last checkpoint"
        return TrainingError(message, parameter="learning_rate", remedy=remedy)

    def _table(self, name: str) -> Path:
        return self.path / f"{name}.csv"


def rate_of_progress(step: int, first: int, seconds: float) -> float:
    """Return the steps per second since step `first`, to three decimals."""
    return round((step - first) / seconds, 3)


@contextmanager
def _saving(step: int) -> Iterator[None]:
    """Turn the error of a file that cannot be written into one that names the step and the remedy."""
    try:
        yield
    except CheckpointError as error:
        message = f"step {step}: {error.message} (the previous checkpoint is intact)"
        raise TrainingError(message, remedy=_SPACE) from error
