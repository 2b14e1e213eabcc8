"""The entry of one image in a project."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject

STATES = ("unseen", "in work", "done", "checked")
"""How far an image is, in this order."""
FINISHED = ("done", "checked")
"""States in which all objects of an image are accepted."""

_TAKEN = frozenset(
    "image image_id name state objects by locked_by height width kind source label category failed_parts error seconds "
    "finished model output progress self".split()
)


def check_columns(names: Iterable[str]) -> None:
    """Refuse names of columns that the tables of a project have already.

    Raises
    ------
    ProjectError
        Names the first.
    """
    for name in names:
        if name in _TAKEN:
            raise ProjectError(
                f"the column {name!r} is one of the tables' own", parameter="group", remedy="choose another name"
            )


@dataclass(frozen=True)
class ImageEntry:
    """An image of a project.

    Attributes
    ----------
    image_id : str
        Name of its files in the project.
    source : str
        Absolute path or URL when it was added, with the series or axes that were chosen.
    relative : str or None
        The same path relative to the project's folder, which holds after both were moved; None for a URL.
    fingerprint : str
        Fingerprint of its pixels, by which it is found again.
    shape : tuple of int
        Height and width, level-0 pixels.
    kind : str
        Type and number of channels, such as "uint8 x 3"; images of different kinds rarely share a model.
    state : str
        One of `STATES`.
    by : str
        Who set the state; empty if nobody did.
    changed : float
        When the state was set, seconds since 1970.
    groups : dict of str to str
        Columns to sort and filter by: "plate", "well" and "field" of a plate, and what the user gave, such as
        "condition".
    """

    image_id: str
    source: str
    relative: str | None
    fingerprint: str
    shape: tuple[int, int]
    kind: str
    state: str = STATES[0]
    by: str = ""
    changed: float = 0.0
    groups: dict[str, str] = field(default_factory=dict)

    def in_state(self, state: str, by: str, when: float) -> ImageEntry:
        """Return the entry in another state.

        Raises
        ------
        ProjectError
            If there is no such state.
        """
        if state not in STATES:
            raise ProjectError(f"state is {state!r}", parameter="state", remedy=f"choose one of {', '.join(STATES)}")
        return replace(self, state=state, by=by, changed=when)

    def as_json(self) -> JsonObject:
        """Return the entry as its file holds it."""
        return asdict(self) | {"shape": list(self.shape)}

    @classmethod
    def from_json(cls, content: JsonObject, path: Path) -> ImageEntry:
        """Read an entry.

        Parameters
        ----------
        content : dict
            Content of its file. What a newer version added is left out.
        path : Path
            The file, for messages.

        Raises
        ------
        ProjectError
            If something is missing or of another type.
        """
        known: dict[str, Any] = {f.name: content[f.name] for f in fields(cls) if f.name in content}
        try:
            known["shape"] = tuple(int(n) for n in known["shape"])
            known["groups"] = {str(name): str(value) for name, value in known.get("groups", {}).items()}
            entry = cls(**known)
            texts = (entry.image_id, entry.source, entry.fingerprint, entry.kind, entry.state, entry.by)
            whole = all(isinstance(text, str) for text in texts) and isinstance(entry.relative, str | None)
            if not (whole and len(entry.shape) == 2 and entry.state in STATES and entry.image_id == path.stem):
                raise ValueError("values of another type")
            float(entry.changed)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProjectError(
                f"{path}: no entry of an image ({error})", remedy="restore the file from a backup, or delete it"
            ) from error
        return entry
