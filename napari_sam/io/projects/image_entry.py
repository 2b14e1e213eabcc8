"""The entry of one image in a project."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject

STATES = ("unseen", "in work", "done", "checked")
"""How far an image is, in this order."""
FINISHED = ("done", "checked")
"""States in which all objects of an image are accepted."""

_LISTED = 20  # values of a column
_TAKEN = frozenset(
    "image image_id name state objects by locked_by height width kind source label category failed_parts error seconds "
    "finished model output progress self".split()
)


_MEASURED = frozenset(
    "plane parent n_planes voxels z0 y0 x0 z1 y1 x1 predicted_iou stability_score eccentricity orientation solidity "
    "sphericity images objects_per_image".split()
)
_MEASURED_IN_UNITS = re.compile(
    r"(area|perimeter|equivalent_diameter|volume|surface|axis_(major|middle|minor)|centroid_[zyx])"
    r"_(world|px|[nu\u00b5mck]?m|in|ft)[23]?(_sd)?|intensity_(mean|min|max|std)(_.*)?"
)


def check_columns(names: Iterable[str]) -> None:
    """Refuse names of columns that the tables of a project have already, or that `measure` writes.

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
        if name in _MEASURED or _MEASURED_IN_UNITS.fullmatch(name):
            raise ProjectError(
                f"the column {name!r} holds measurements of objects", parameter="group", remedy="choose another name"
            )


def check_groups(groups: Mapping[str, str], entries: Sequence[ImageEntry]) -> None:
    """Refuse to choose images by columns or values that none has.

    Parameters
    ----------
    groups : mapping of str to str
        Value of each column.
    entries : sequence of ImageEntry
        All images of a project.

    Raises
    ------
    ProjectError
        Names the columns that there are, or the values of the column.
    """
    known: dict[str, set[str]] = {}
    for entry in entries:
        for name, value in entry.groups.items():
            known.setdefault(name, set()).add(value)
    for name, value in groups.items():
        if name not in known:
            there = f"choose from {', '.join(sorted(known))}" if known else "set columns of the images first"
            raise ProjectError(f"no image has a column {name!r}", parameter="group", remedy=there)
        if value not in known[name]:
            there = ", ".join(sorted(known[name])[:_LISTED]) + ", ..." * (len(known[name]) > _LISTED)
            raise ProjectError(f"no image has {name} {value!r}", parameter="group", remedy=f"choose from {there}")


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
