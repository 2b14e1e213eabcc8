"""Load networks by name or path, and save them as safetensors or as the official programs do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from src_models.checkpoints.adapters import AdapterBase, apply_adapter, read_adapter_base
from src_models.checkpoints.checkpoint_writing import replacing_checkpoint
from src_models.checkpoints.download import fetch_model
from src_models.checkpoints.instance_decoders import unetr_from_state
from src_models.checkpoints.integrity import file_digest
from src_models.checkpoints.registry import ModelInfo, model_info, model_names
from src_models.checkpoints.state_dicts import check_fit, detect_kind, read_state
from src_models.model_errors import CheckpointError, DeviceError, UnknownModelError
from src_models.networks.build_network import build_network
from src_models.networks.mask_judge import MaskJudge
from src_models.networks.quality_head import QualityHead
from src_models.networks.sam import Sam
from src_models.networks.sam2.config import SAM2_KINDS
from src_models.networks.sam2.network import Sam2

if TYPE_CHECKING:
    from collections.abc import Callable

    from src_models.networks.promptable import PromptableNetwork
    from src_models.networks.unetr import UnetrDecoder

# Key prefixes of parts that official programs do not know.
_DENSE, _QUALITY, _JUDGE = _OWN_PARTS = "dense_decoder.", "quality_head.", "mask_judge."
_SUFFIXES = frozenset({".pth", ".pt", ".safetensors", ".ckpt", ".bin"})
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_DRAWING = nn.init.__name__  # the module of the functions that draw weights


class _EmptyOnMeta(TorchFunctionMode):
    """Create uninitialised tensors on the meta device, so that building a network takes neither time nor memory.

    Layers create their weights with `torch.empty` and then draw random numbers, which does nothing on the meta device
    and is left out: the first drawing would import torch's compiler, which takes longer than all the rest. Computed
    tensors, such as index tables in buffers that no checkpoint holds, keep their values; ``torch.device("meta")``
    would lose them.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        drawn = args[0] if args else kwargs.get("tensor")
        if getattr(func, "__module__", "") == _DRAWING and isinstance(drawn, Tensor) and drawn.is_meta:
            return drawn
        return func(*args, **kwargs)


def load_network(
    source: str | os.PathLike[str] = "default",
    device: str | torch.device = "cpu",
    progress: Callable[[int, int | None], None] | None = None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> PromptableNetwork:
    """Load a network of any architecture with trained weights, in evaluation mode and float32.

    Parameters
    ----------
    source : str or path
        A registered name (downloaded once, hash checked each time), or a checkpoint file of SAM, MobileSAM,
        micro-sam, SAM 2 or this package. An adapter of this package is merged into the network that it belongs to. A
        name takes precedence over a file of that name; write ``./name`` for the file.
    device : str or torch.device
        Device of the weights.
    progress : callable, optional
        Called during a download with the bytes transferred and their total (None if unknown).
    cancelled : callable, optional
        Polled during a download; the download stops when it returns True.

    Returns
    -------
    Sam or Sam2
        Its `kind`, the architecture, is detected from the file.

    Raises
    ------
    UnknownModelError
        If `source` is neither a registered name nor looks like a path.
    CheckpointError
        If the file is missing, damaged, unsafe, different from the published one, or of another architecture.
    DownloadError
        If the weights cannot be fetched; `DownloadCancelledError` if `cancelled` returned True.
    DeviceError
        If the device is not available.
    """
    return _load(source, device, progress, cancelled, None)


def load_sam(
    source: str | os.PathLike[str] = "default",
    device: str | torch.device = "cpu",
    progress: Callable[[int, int | None], None] | None = None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Sam:
    """Load a network of SAM's architectures; parameters and errors as in `load_network`.

    Raises
    ------
    CheckpointError
        Also if the checkpoint is one of SAM 2.
    """
    return cast("Sam", _load(source, device, progress, cancelled, Sam))


def load_sam2(
    source: str | os.PathLike[str] = "sam2.1_tiny",
    device: str | torch.device = "cpu",
    progress: Callable[[int, int | None], None] | None = None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Sam2:
    """Load a network of SAM 2 or 2.1; parameters and errors as in `load_network`.

    Raises
    ------
    CheckpointError
        Also if the checkpoint is not one of SAM 2.
    """
    return cast("Sam2", _load(source, device, progress, cancelled, Sam2))


def _load(
    source: str | os.PathLike[str],
    device: str | torch.device,
    progress: Callable[[int, int | None], None] | None,
    cancelled: Callable[[], bool] | None,
    family: type[Sam | Sam2] | None,
) -> PromptableNetwork:
    """Load a network, after checking that it is of the wanted family; None for any."""
    target = _usable_device(device)
    info = _registered(source)
    if info is not None:  # before anything is downloaded
        _check_family(info.kind, family, f"model {info.name!r}")
    path = _user_path(source) if info is None else fetch_model(info, progress=progress, cancelled=cancelled)
    base = read_adapter_base(path) if info is None else None
    state = read_state(path) if base is None else _merged_state(base, path)
    kind = detect_kind(state, path)
    _check_family(kind, family, str(path))
    if info is not None and kind != info.kind:
        raise CheckpointError(
            f"{path} holds {kind}, not {info.kind}", remedy=f"delete it to download {info.name} again"
        )
    return _filled(kind, state, path, target)


def _merged_state(base: AdapterBase, path: Path) -> dict[str, Tensor]:
    """Return the state dict of an adapter's network, with the adapter merged into it."""
    source, beside = base.source, path.parent / Path(base.source).name
    if source not in model_names() and not Path(source).exists() and beside.exists():
        source = str(beside)  # moved together
    try:
        net = load_network(source)
    except (CheckpointError, UnknownModelError) as err:
        raise CheckpointError(
            f"{path} is an adapter of {base.source}, which cannot be loaded: {err.message}",
            remedy=f"put that file beside the adapter, as {beside.name}",
        ) from err
    net.quality_head = net.mask_judge = None  # they rate the masks from before
    if weights_fingerprint(net) != base.fingerprint:
        raise CheckpointError(
            f"{path} is an adapter of {base.source}, and {source} is another network now",
            remedy="give the checkpoint that the adapter was trained with",
        )
    state = dict(net.state_dict())
    apply_adapter(state, read_state(path), base, path)
    return state


def _check_family(kind: str, family: type[Sam | Sam2] | None, what: str) -> None:
    """Raise `CheckpointError` if a kind is not of the wanted family."""
    is_second = kind in SAM2_KINDS
    if family is Sam and is_second:
        raise CheckpointError(
            f"{what} is a SAM 2 checkpoint ({kind}), and one of SAM is needed here",
            remedy="give a file of SAM (ViT-B, L, H), MobileSAM, micro-sam or napari-sam-xl, or load it with load_sam2",
        )
    if family is Sam2 and not is_second:
        raise CheckpointError(
            f"{what} is a SAM checkpoint ({kind}), and one of SAM 2 is needed here",
            remedy="give a file of SAM 2 or 2.1, such as 'sam2.1_tiny', or load it with load_sam",
        )


def load_dense_decoder(
    source: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    progress: Callable[[int, int | None], None] | None = None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> UnetrDecoder:
    """Load an instance decoder of micro-sam, in evaluation mode and float32.

    It fits only the network that it was trained with: load that by the same name, or from the same file.

    Parameters
    ----------
    source : str or path
        A registered model of micro-sam, such as "vit_b_lm" (downloaded once, hash checked each time), or a file:
        a decoder alone (``*_decoder.pt``), or a checkpoint that holds it as ``decoder_state``.
    device, progress, cancelled
        As in `load_sam`.

    Returns
    -------
    UnetrDecoder
        With bilinear or transposed upsampling, as detected from the file.

    Raises
    ------
    UnknownModelError
        If micro-sam published no decoder for `source`, or it is neither a registered name nor looks like a path.
    CheckpointError
        If the file holds no decoder, or as in `load_sam`.
    DownloadError, DeviceError
        As in `load_sam`.
    """
    target = _usable_device(device)
    info = _registered(source)
    if info is None:
        path = _user_path(source)
    elif info.decoder is None:
        names = ", ".join(name for name in model_names() if model_info(name).decoder is not None)
        raise UnknownModelError(
            f"micro-sam published no instance decoder for {info.name!r}",
            parameter="source",
            remedy=f"choose one of {names}, or give the path of a decoder",
        )
    else:
        path = fetch_model(info.decoder, progress=progress, cancelled=cancelled)
    return unetr_from_state(_decoder_state(path), path, target)


def save_sam(
    net: PromptableNetwork,
    path: str | os.PathLike[str],
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Save a network as safetensors; the file appears whole or not at all.

    Parameters
    ----------
    net : PromptableNetwork
        Not fused for inference.
    path : str or path
        Its folder is made; an existing file is replaced.
    dtype : torch.dtype, optional
        Precision of the weights in the file, to make it smaller. Statistics of batch normalisation and the
        frequencies of the positional encoding, a few kB, keep their precision: small variances would vanish.
    metadata : mapping of str to str, optional
        Entries for the file's header, in addition to the network's kind.

    Raises
    ------
    CheckpointError
        If the file cannot be written, the network is fused, or a weight is too large for `dtype`.
    """
    if dtype is not None and dtype not in _DTYPES:
        raise CheckpointError(f"dtype is {dtype}", parameter="dtype", remedy="choose float32, float16 or bfloat16")
    target = Path(path)
    state = _plain_state(net, target)
    for name, _ in net.named_parameters():
        state[name] = _narrowed(state[name], dtype, name)
    header = {"format": "pt", "kind": net.kind} | dict(metadata or {})
    wrong = [key for key, value in header.items() if not isinstance(value, str)]
    if wrong:
        raise CheckpointError(
            f"metadata {wrong[0]!r} is {header[wrong[0]]!r}", parameter="metadata", remedy="give text values"
        )
    with replacing_checkpoint(target) as temporary:
        save_file(state, temporary, header)


def save_official(net: PromptableNetwork, path: str | os.PathLike[str]) -> None:
    """Save a network as the official programs do: ``torch.save`` of the bare state dict.

    Parameters
    ----------
    net : PromptableNetwork
        Not fused for inference. Other programs can load the file of a ViT or TinyViT unchanged; dense decoder,
        quality head and mask judge are left out, since only this package knows them.
    path : str or path
        Its folder is made; an existing file is replaced.

    Raises
    ------
    CheckpointError
        If the file cannot be written, or the network is fused.
    """
    target = Path(path)
    state = {k: v for k, v in _plain_state(net, target).items() if not k.startswith(_OWN_PARTS)}
    with replacing_checkpoint(target) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def checkpoint_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, without holding the file in memory.

    Raises
    ------
    CheckpointError
        If the file cannot be read.
    """
    return file_digest(Path(path))


def weights_fingerprint(net: nn.Module) -> str:
    """Return the SHA-256 of a network's state dict: names, types, shapes and values.

    Networks with equal fingerprints compute the same; use it as a key where no checkpoint file exists.

    Parameters
    ----------
    net : nn.Module
        On any device.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()


def _registered(source: str | os.PathLike[str]) -> ModelInfo | None:
    """Look up a registered name; None if `source` is meant as a path."""
    if not isinstance(source, str):
        return None
    if source in model_names():
        return model_info(source)
    path = Path(source)
    if source and (len(path.parts) > 1 or path.suffix.lower() in _SUFFIXES or os.path.exists(_user_path(path))):
        return None
    return model_info(source)  # raises UnknownModelError


def _user_path(named: str | os.PathLike[str]) -> Path:
    try:
        return Path(named).expanduser()
    except RuntimeError as err:  # no such user
        raise CheckpointError(f"{named}: {err}", remedy="check the path") from err


def _decoder_state(path: Path) -> dict[str, Tensor]:
    """Read an instance decoder from a file of its own, or from the file of a whole network."""
    state = read_state(path)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and any(key.startswith("image_encoder.") for key in state):
        # `read_state` has checked this file: it is a mapping, and loads with weights_only.
        part = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("decoder_state")
        if isinstance(part, Mapping) and part:
            return {key: value for key, value in part.items() if isinstance(key, str) and isinstance(value, Tensor)}
    return state


def _usable_device(device: str | torch.device) -> torch.device:
    """Return the device if it can hold a tensor."""
    try:
        usable = torch.device(device)
        if usable.type != "meta":
            torch.empty(0, device=usable)  # fails without a driver
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        reason = str(err).splitlines()[0]
        raise DeviceError(
            f"device {str(device)!r} cannot be used here ({reason})", parameter="device", remedy="use {device=cpu}"
        ) from err
    return usable


def _hollow(kind: str, dense: bool | None = None, quality: bool = False, judge: bool = False) -> PromptableNetwork:
    """Build a network whose weights are on the meta device and whose constants are computed."""
    with _EmptyOnMeta():
        net = build_network(kind, dense)
        net.quality_head = QualityHead().eval() if quality else None
        net.mask_judge = MaskJudge().eval() if judge else None
        return net


def _filled(kind: str, state: Mapping[str, Tensor], path: Path, device: torch.device) -> PromptableNetwork:
    """Build a network of a kind and fill it with a checkpoint's weights."""
    net = _hollow(kind, *(any(key.startswith(part) for key in state) for part in _OWN_PARTS))
    expected = net.state_dict()
    check_fit(state, expected, kind, path)
    # Copies, since changing or deleting a memory-mapped file kills the process.
    weights = {name: state[name].to(device, value.dtype, copy=True).contiguous() for name, value in expected.items()}
    net.load_state_dict(weights, assign=True)
    return net.to(device).eval()


def _plain_state(net: PromptableNetwork, path: Path) -> dict[str, Tensor]:
    """Copy the state dict, after checking that it can be loaded again."""
    state = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in net.state_dict().items()}
    parts = (part is not None for part in (net.dense_decoder, net.quality_head, net.mask_judge))
    expected = _hollow(net.kind, *parts).state_dict()
    if changed := sorted(expected.keys() ^ state.keys()):
        raise CheckpointError(
            f"cannot save {path}: the network's keys are not those of {net.kind} any more ({changed[0]})",
            remedy="save it before it is fused for inference",
        )
    return state


def _narrowed(value: Tensor, dtype: torch.dtype | None, name: str) -> Tensor:
    """Convert a floating-point tensor to a type that can represent its values."""
    if dtype is None or not value.is_floating_point():
        return value
    largest = max(abs(float(end)) for end in value.aminmax())
    if largest > torch.finfo(dtype).max:
        raise CheckpointError(
            f"{name} reaches {largest:.3g}, too large for {dtype}", parameter="dtype", remedy="use bfloat16"
        )
    return value.to(dtype)
