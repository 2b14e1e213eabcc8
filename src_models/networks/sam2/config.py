"""Sizes of SAM 2, as its published configurations state them."""

from __future__ import annotations

from dataclasses import dataclass, replace

WIDTH = 256
"""Width of the image embedding and of the memory attention."""
MEMORY_WIDTH = 64
"""Channels of a frame's memory."""
MEMORY_FRAMES = 7
"""Frames in the memory of an object: the prompted ones, and the six frames before the current one."""
POINTER_FRAMES = 16
"""Largest number of frames whose object pointers are used."""


@dataclass(frozen=True)
class Sam2Config:
    """Size of a network.

    Attributes
    ----------
    width : int
        Channels of the first stage of Hiera; they double from stage to stage.
    heads : int
        Attention heads of the first stage; they double as well.
    blocks : tuple of int
        Blocks in each of the four stages.
    global_blocks : tuple of int
        Blocks with attention over the whole grid, counted over all stages.
    windows : tuple of int
        Side of the attention windows of each stage, in tokens.
    background : int
        Side of the learned grid of background positions, in tokens.
    img_size : int
        Side of the network's input, in pixels.
    is_first_version : bool
        SAM 2.0: object pointers without temporal positions, and no embedding for absent objects.
    """

    width: int = 96
    heads: int = 1
    blocks: tuple[int, int, int, int] = (1, 2, 7, 2)
    global_blocks: tuple[int, ...] = (5, 7, 9)
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    background: int = 7
    img_size: int = 1024
    is_first_version: bool = False


_SIZES = {
    "tiny": Sam2Config(),
    "small": Sam2Config(blocks=(1, 2, 11, 2), global_blocks=(7, 10, 13)),
    "base_plus": Sam2Config(112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
    "large": Sam2Config(144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8)),
}

SAM2_KINDS = {f"sam2.1_{size}": config for size, config in _SIZES.items()} | {
    f"sam2_{size}": replace(config, is_first_version=True) for size, config in _SIZES.items()
}
"""Configuration of every published network, by its kind."""
