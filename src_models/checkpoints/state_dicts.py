"""Read checkpoint files without running code from them, and detect the network they belong to.

The first bytes determine the file's type, never its suffix. Safetensors hold numbers only; pickles are read with
``torch.load(weights_only=True)``, without a fallback.
"""

from __future__ import annotations

import pickle
import re
import stat
import struct
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from src_models.checkpoints.key_names import official_names, unstacked
from src_models.model_errors import CheckpointError
from src_models.networks.sam2.config import SAM2_KINDS

if TYPE_CHECKING:
    from pathlib import Path

_WRAPPERS = ("model_state", "model", "state_dict", "model_state_dict")
_VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_VIT = "image_encoder.patch_embed.proj.weight"
_TINY_VIT = "image_encoder.patch_embed.seq.0.c.weight"
_DEFAULT = "image_encoder.stem.c.weight"
_LORA = re.compile(r"(^|\.)(w_[ab]_linear|lora_[ab]|qkv_proj)", re.IGNORECASE)
# Constants that some programs store and every network here computes itself.
_CONSTANT = re.compile(r"(^|\.)(pixel_mean|pixel_std|attention_bias_idxs)$")
_SAM2_TRUNK = "image_encoder.trunk.patch_embed.proj.weight"
_SAM2_SECOND = "no_obj_embed_spatial"  # only in SAM 2.1
_SUPPORTED = "give a file of SAM (ViT-B, L, H), MobileSAM, micro-sam, SAM 2 or napari-sam-xl"
_COPY_AGAIN = "copy or download it again"
# Exceptions of torch's unpickler on damaged or hostile bytes.
UNREADABLE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    struct.error,
    pickle.UnpicklingError,
)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a network from a file, which may stay memory-mapped.

    Parameters
    ----------
    path : Path
        Safetensors, or a checkpoint of ``torch.save``: a bare state dict, or one under ``model_state``,
        ``model`` or ``state_dict``; prefixes such as ``module.`` or ``net.`` are removed.

    Returns
    -------
    dict of str to Tensor
        For a checkpoint of SAM, also one of Hugging Face, with the official key names.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or no checkpoint, or reading it would run code.
    """
    head = _head(path)
    if head[8:9] == b"{":
        return _bare(_read_safetensors(path), path)
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path)
        return _bare(_read_pickle(path, mmap=True), path)
    if head.startswith(b"\x80"):  # the format of torch before 1.6
        return _bare(_read_pickle(path, mmap=False), path)
    raise CheckpointError(f"{path} is not a checkpoint: {_guess(head)}", remedy="give a .safetensors, .pth or .pt file")


def detect_kind(state: Mapping[str, Tensor], path: Path) -> str:
    """Detect the architecture from keys and shapes.

    Parameters
    ----------
    state : mapping of str to Tensor
        From `read_state`.
    path : Path
        For messages.

    Returns
    -------
    str
        Kind, as for `build_network`.

    Raises
    ------
    CheckpointError
        If the architecture is not supported; the message names it where it is known.
    """
    if any(_LORA.search(key) for key in state):
        raise CheckpointError(
            f"{path} holds LoRA adapters, not plain weights",
            remedy="merge them into the network where it was trained, and save its state dict",
        )
    if any(key.startswith("image_encoder.trunk.") for key in state):
        return _sam2_kind(state, path)
    if _VIT in state:
        width = state[_VIT].shape[0] if state[_VIT].ndim else 0
        if width in _VIT_WIDTHS:
            return _VIT_WIDTHS[width]
        raise CheckpointError(f"{path} has a ViT of width {width}", remedy="give one of width 768, 1024 or 1280")
    if _TINY_VIT in state:
        return "vit_t"
    if _DEFAULT in state:
        return "default"
    problem, remedy = _describe_other(state)
    raise CheckpointError(f"{path} {problem}", remedy=remedy)


def _sam2_kind(state: Mapping[str, Tensor], path: Path) -> str:
    """Detect the size and version of a SAM 2 checkpoint, from the width and depth of its image encoder."""
    weight = state.get(_SAM2_TRUNK)
    width = weight.shape[0] if weight is not None and weight.ndim else 0
    blocks = len({key.split(".")[3] for key in state if key.startswith("image_encoder.trunk.blocks.")})
    for kind, config in SAM2_KINDS.items():
        if (config.width, sum(config.blocks)) == (width, blocks):
            return kind if _SAM2_SECOND in state else kind.replace("sam2.1", "sam2")
    raise CheckpointError(
        f"{path} is a SAM 2 checkpoint of width {width} with {blocks} blocks",
        remedy="give one of the published sizes: tiny, small, base_plus or large",
    )


def check_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], kind: str, path: Path) -> None:
    """Check that a checkpoint fits a network, before anything is copied.

    Parameters
    ----------
    state, expected : mapping of str to Tensor
        Tensors of the checkpoint and of the network; the network's may be on the meta device.
    kind : str
        Name of the network.
    path : Path
        For messages.

    Raises
    ------
    CheckpointError
        If keys are missing or too many, or shapes or types differ.
    """
    problems = []
    if missing := sorted(expected.keys() - state.keys()):
        problems.append(f"{len(missing)} keys are missing ({_some(missing)})")
    if unexpected := sorted(state.keys() - expected.keys()):
        problems.append(f"{len(unexpected)} keys are unexpected ({_some(unexpected)})")
    common = sorted(expected.keys() & state.keys())
    shapes = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(expected[key].shape)}"
        for key in common
        if state[key].shape != expected[key].shape
    ]
    if shapes:
        problems.append(f"{len(shapes)} shapes differ ({_some(shapes)})")
    kinds = [f"{key} is {_nature(state[key])}" for key in common if not _is_alike(state[key], expected[key])]
    if kinds:
        problems.append(f"{len(kinds)} tensors are of a wrong type ({_some(kinds)})")
    broken = [] if problems else [key for key in common if not _is_finite(state[key])]
    if broken:
        raise CheckpointError(
            f"{path} holds values that are not finite in {len(broken)} weights ({_some(broken)})",
            remedy="choose a checkpoint from before its training failed",
        )
    if problems:
        raise CheckpointError(
            f"{path} looks like {kind} but does not fit it: {'; '.join(problems)}",
            remedy="export the plain state dict with the program that made or changed it",
        )


def _head(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CheckpointError(f"{path} is a folder", remedy="give the checkpoint file in it")
        if not stat.S_ISREG(mode):  # reading a pipe would wait forever
            raise CheckpointError(f"{path} is not a regular file", remedy="copy the checkpoint to one")
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError as err:
        raise CheckpointError(f"{path}: no such file", remedy="check the path") from err
    except CheckpointError:
        raise
    except (OSError, ValueError) as err:  # ValueError: a zero byte in the name
        raise CheckpointError(
            f"cannot read {str(path)[:200]}: {err.strerror if isinstance(err, OSError) else err}",
            remedy="check the path and its permissions",
        ) from err
    if not head:
        raise CheckpointError(f"{path} is empty", remedy=_COPY_AGAIN)
    return head


def _guess(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, saved in place of the file (open its address in a browser to see)"
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file it points to (run `git lfs pull`)"
    return f"it starts with {head[:8]!r}"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, *UNREADABLE) as err:
        raise CheckpointError(f"{path} is damaged or cut short ({_line(err)})", remedy=_COPY_AGAIN) from err


def _check_zip(path: Path) -> None:
    """Check that torch may have written an archive: not cut short, and not compressed, which could be a zip bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as err:
        raise CheckpointError(f"{path} is damaged or cut short ({_line(err)})", remedy=_COPY_AGAIN) from err
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        raise CheckpointError(
            f"{path} is a zip archive without a checkpoint in it", remedy="unpack it and give the file inside"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path} is a compressed archive, unlike those of torch.save", remedy="save it again")


def _read_pickle(path: Path, *, mmap: bool) -> Any:
    # With mmap, the optimiser state of a training checkpoint is never read; only zip archives support it.
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as err:
        raise _unpickling_error(path, str(err)) from err
    except UNREADABLE as err:
        raise CheckpointError(f"{path} is damaged or cut short ({_line(err)})", remedy=_COPY_AGAIN) from err


def _unpickling_error(path: Path, message: str) -> CheckpointError:
    """Return the error for a pickle that torch refuses."""
    name = re.search(r"GLOBAL ([\w.]+)", message) or re.search(r"`?([\w.]+)`? was not an allowed global", message)
    if name is None and "nsupported" not in message:
        return CheckpointError(f"{path} is damaged or not a checkpoint of torch", remedy=_COPY_AGAIN)
    objects = f"Python objects ({name[1]})" if name else "Python objects"
    return CheckpointError(
        f"{path} holds {objects} besides tensors, and reading them could run any code",
        remedy="save the weights only where it was made: safetensors.torch.save_file(model.state_dict(), path), or for "
        "a training checkpoint of micro-sam, micro_sam.util.export_custom_sam_model",
    )


def _bare(content: Any, path: Path) -> dict[str, Tensor]:
    """Remove wrappers, prefixes and everything but tensors from a state dict."""
    for _ in range(len(_WRAPPERS)):
        wrapped = [key for key in _WRAPPERS if isinstance(content, Mapping) and key in content]
        if not wrapped or not isinstance(content[wrapped[0]], Mapping):
            break
        content = content[wrapped[0]]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, not a state dict", remedy="save model.state_dict()"
        )
    state: dict[str, Tensor] = {}
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    for key, name in official_names(list(tensors)).items():
        value = tensors[key]
        if name in state:
            raise CheckpointError(f"{path} has {name} twice, with and without a prefix", remedy="save one network only")
        if not _CONSTANT.search(name):
            state[name] = value
    if not state:
        keys = _some([str(key) for key in content]) or "nothing"
        raise CheckpointError(f"{path} holds no weights but {keys}", remedy="save model.state_dict()")
    return unstacked(state)


def _describe_other(state: Mapping[str, Tensor]) -> tuple[str, str]:
    """Describe a checkpoint that is not a whole SAM; return the problem and the remedy."""
    first = {key.split(".")[0] for key in state}
    whole = "give the whole network's file"
    if first & {"deconv1", "deconv_out", "out_conv", "decoder_head"}:
        return "holds micro-sam's decoder for automatic segmentation only", "give the encoder's file instead"
    if (
        first & {"mask_decoder", "prompt_encoder", "sam_mask_decoder", "sam_prompt_encoder"}
        and "image_encoder" not in first
    ):
        return "holds a decoder without its image encoder", whole
    if first & {"patch_embed", "pos_embed", "blocks"}:
        return "holds an image encoder only", whole
    return f"is not a SAM checkpoint, its keys are {_some(sorted(state))}", _SUPPORTED


def _is_alike(value: Tensor, expected: Tensor) -> bool:
    """Whether a tensor can be copied: in memory, strided, and of the same kind of numbers."""
    if value.device.type != "cpu" or value.layout != torch.strided or value.is_quantized:
        return False
    return value.is_floating_point() == expected.is_floating_point() and not value.is_complex()


def _is_finite(value: Tensor) -> bool:
    """Whether all values are finite; their sum tells at once, unless it overflows."""
    if not value.is_floating_point():
        return True
    return bool(torch.isfinite(value.sum(dtype=torch.float32))) or bool(torch.isfinite(value).all())


def _nature(value: Tensor) -> str:
    return f"{value.dtype}, {value.layout}, on {value.device}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _line(err: Exception) -> str:
    return next(iter(str(err).splitlines()), "") or type(err).__name__
