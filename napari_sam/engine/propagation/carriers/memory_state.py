"""The state of followed objects as arrays, exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carriers.followed_object import FollowedObject
from napari_sam.engine.windows import Window
from src_models.video.object_memory import FrameMemory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.generic]]

_GROUPS = ("prompted", "tracked", "after_start")


def pack_object(followed: FollowedObject) -> Arrays:
    """Return the state of an object as arrays; maps stay in bfloat16."""
    arrays: Arrays = {
        "window": np.array(followed.window.bbox),
        "reverse": np.array(-1 if followed.reverse is None else int(followed.reverse)),
    }
    if followed.last is not None:
        time, mask, box = followed.last
        arrays |= {"last_time": np.array(time), "last_mask": np.packbits(mask, axis=1), "last_box": np.array([*box])}
    for name, memories in zip(_GROUPS, _groups(followed), strict=True):
        arrays |= {f"{name}/{key}": value for key, value in _pack_memories(memories).items()}
    return arrays


def unpack_object(arrays: Mapping[str, NDArray[np.generic]], img_size: int, device: torch.device) -> FollowedObject:
    """Return the object that `pack_object` packed.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        From `pack_object`.
    img_size : int
        Side of the network's input.
    device : torch.device
        Device of the network.
    """
    reverse = int(arrays["reverse"])
    followed = FollowedObject(_window(arrays["window"], img_size), reverse=None if reverse < 0 else bool(reverse))
    if "last_time" in arrays:
        box = Box(*(int(n) for n in arrays["last_box"]))
        mask = np.unpackbits(arrays["last_mask"].astype(np.uint8), axis=1, count=box.width).astype(bool)
        followed.last = int(arrays["last_time"]), mask, box
    for name, memories in zip(_GROUPS, _groups(followed), strict=True):
        part = {k.removeprefix(f"{name}/"): v for k, v in arrays.items() if k.startswith(f"{name}/")}
        memories.update(_unpack_memories(part, img_size, device))
    return followed


def _groups(followed: FollowedObject) -> tuple[dict[int, FrameMemory], ...]:
    return followed.memory.prompted, followed.memory.tracked, followed.after_start


def _pack_memories(memories: Mapping[int, FrameMemory]) -> Arrays:
    values = list(memories.values())
    arrays: Arrays = {"times": np.array(list(memories), np.int64)}
    if not values:
        return arrays
    for name in ("object_score", "predicted_iou", "pointer"):
        arrays[name] = torch.stack([getattr(memory, name) for memory in values]).float().cpu().numpy()
    for k, memory in enumerate(values):
        if memory.tokens is not None and isinstance(memory.place, Window):
            arrays[f"tokens/{k}"] = memory.tokens.cpu().view(torch.int16).numpy()
            arrays[f"place/{k}"] = np.array(memory.place.bbox)
    return arrays


def _unpack_memories(
    arrays: Mapping[str, NDArray[np.generic]], img_size: int, device: torch.device
) -> dict[int, FrameMemory]:
    def on_device(name: str, k: int) -> torch.Tensor:
        return torch.from_numpy(np.array(arrays[name][k])).to(device)

    memories = {}
    for k, time in enumerate(arrays["times"].tolist()):
        score, iou, pointer = (on_device(name, k) for name in ("object_score", "predicted_iou", "pointer"))
        memory = FrameMemory(torch.zeros(0), score, iou, pointer)
        if f"tokens/{k}" in arrays:
            tokens = torch.from_numpy(np.array(arrays[f"tokens/{k}"])).view(torch.bfloat16).to(device)
            memory = replace(memory, tokens=tokens, place=_window(arrays[f"place/{k}"], img_size))
        memories[int(time)] = memory
    return memories


def _window(bbox: NDArray[np.generic], img_size: int) -> Window:
    y0, x0, y1, x1 = (int(n) for n in bbox)
    return Window((y0, x0, y1, x1), img_size)
