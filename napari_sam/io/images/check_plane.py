"""Check a choice of plane and channels before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def has_plane(sizes: Mapping[str, int], plane: Sequence[int]) -> bool:
    """Return whether axes of these sizes have a plane.

    >>> has_plane({"t": 5, "z": 3}, (4, 2)), has_plane({"z": 3}, (-1,)), has_plane({}, (0,))
    (True, False, False)
    """
    return len(plane) == len(sizes) and all(0 <= i < n for i, n in zip(plane, sizes.values(), strict=True))


def check_plane(
    name: str, sizes: Mapping[str, int], plane: tuple[int, ...], channel_count: int, channels: tuple[int, ...]
) -> None:
    """Refuse a plane or channels that an image does not have.

    Parameters
    ----------
    name : str
        Name of the image in messages.
    sizes : mapping of str to int
        Number of planes along each axis other than rows, columns and channels.
    plane : tuple of int
        Index along each of these axes.
    channel_count : int
        Number of channels.
    channels : tuple of int
        Chosen channels.

    Raises
    ------
    ImageError
        With the value, and what there is.
    """
    if not has_plane(sizes, plane):
        has = " x ".join(f"{n} ({axis})" for axis, n in sizes.items())
        raise ImageError(
            f"plane {','.join(map(str, plane)) or '()'}: {name} has {f'planes {has}' if has else 'one plane only'}",
            parameter="plane",
            remedy="give an index for each axis, from 0" if has else "leave {plane} out",
        )
    if not channels or not all(0 <= c < channel_count for c in channels):
        raise ImageError(
            f"channels is {channels}; {name} has channels 0 to {channel_count - 1}",
            parameter="channels",
            remedy="choose among them",
        )
