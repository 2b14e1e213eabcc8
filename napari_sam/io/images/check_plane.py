"""Check a choice of plane and channels before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    if len(plane) != len(sizes) or not all(0 <= i < n for i, n in zip(plane, sizes.values(), strict=True)):
        has = " x ".join(f"{n} ({axis})" for axis, n in sizes.items())
        raise ImageError(
            f"plane is {plane}; {name} has {f'planes {has}' if has else 'a single one'}",
            parameter="plane",
            remedy="give an index for each axis, from 0" if has else "give an empty tuple",
        )
    if not channels or not all(0 <= c < channel_count for c in channels):
        raise ImageError(
            f"channels is {channels}; {name} has channels 0 to {channel_count - 1}",
            parameter="channels",
            remedy="choose among them",
        )
