"""Networks from files and to files: by name or path, in safetensors or as the official programs do."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from src_models.checkpoints.download import fetch_model
from src_models.checkpoints.instance_decoders import unetr_from_state
from src_models.checkpoints.integrity import file_digest
from src_models.checkpoints.registry import ModelInfo, model_info, model_names
from src_models.checkpoints.state_dicts import check_fit, detect_kind, read_state
from src_models.model_errors import CheckpointError, DeviceError, UnknownModelError
from src_models.networks.quality_head import QualityHead
from src_models.networks.sam import Sam, build_sam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from src_models.networks.unetr import UnetrDecoder

_DENSE, _QUALITY = "dense_decoder.", "quality_head."  # keys of parts that official programs do not know
_SUFFIXES = frozenset({".pth", ".pt", ".safetensors", ".ckpt", ".bin"})
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class _EmptyOnMeta(TorchFunctionMode):
    """Give uninitialised tensors no memory, so that building a network costs neither time nor space.

    Layers make their weights with `torch.empty` and then draw random numbers, which does nothing on the meta
    device. Everything computed, such as the index tables in buffers that no checkpoint holds, stays real;
    with ``torch.device("meta")`` those would be lost.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def load_sam(
    source: str | os.PathLike[str] = "default",
    device: str | torch.device = "cpu",
    progress: Callable[[int, int | None], None] | None = None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Sam:
    """Load a network with trained weights, in evaluation mode and float32.

    Parameters
    ----------
    source : str or path
        A registered name (downloaded once, hash checked each time), or a checkpoint file of SAM, MobileSAM,
        micro-sam or this package. A name wins over a file of the same name; write ``./name`` for the file.
    device : str or torch.device
        Where its weights go.
    progress : callable, optional
        Called with bytes so far and in all (None if unknown) while downloading.
    cancelled : callable, optional
        Asked while downloading; True stops it.

    Returns
    -------
    Sam
        Its `kind` is the architecture, found from the file.

    Raises
    ------
    UnknownModelError
        If `source` is neither a name nor looks like a path.
    CheckpointError
        If the file is missing, damaged, unsafe, not what was published, or of another architecture.
    DownloadError
        If the weights cannot be fetched; `DownloadCancelledError` if `cancelled` said so.
    DeviceError
        If there is no such device.
    """
    where = _usable_device(device)
    info = _registered(source)
    path = Path(source).expanduser() if info is None else fetch_model(info, progress=progress, cancelled=cancelled)
    state = read_state(path)
    kind = detect_kind(state, path)
    if info is not None and kind != info.kind:
        raise CheckpointError(f"{path} holds {kind}, not {info.kind}; delete it to get {info.name} again")
    return _filled(kind, state, path, where)


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
        a decoder alone (``*_decoder.pt``), or a checkpoint of training or export that has it as ``decoder_state``.
    device : str or torch.device
        Where its weights go.
    progress : callable, optional
        Called with bytes so far and in all (None if unknown) while downloading.
    cancelled : callable, optional
        Asked while downloading; True stops it.

    Returns
    -------
    UnetrDecoder
        With bilinear or transposed upsampling, found from the file.

    Raises
    ------
    UnknownModelError
        If `source` is neither a name nor looks like a path, or micro-sam published no decoder for it.
    CheckpointError
        If the file is missing, damaged, unsafe, not what was published, or of something else.
    DownloadError
        If the weights cannot be fetched; `DownloadCancelledError` if `cancelled` said so.
    DeviceError
        If there is no such device.
    """
    where = _usable_device(device)
    info = _registered(source)
    if info is None:
        path = Path(source).expanduser()
    elif info.decoder is None:
        having = ", ".join(name for name in model_names() if model_info(name).decoder is not None)
        raise UnknownModelError(
            f"micro-sam published no instance decoder for {info.name!r}; "
            f"choose one of {having}, or give the path of a decoder"
        )
    else:
        path = fetch_model(info.decoder, progress=progress, cancelled=cancelled)
    return unetr_from_state(_decoder_state(path), path, where)


def save_sam(
    net: Sam,
    path: str | os.PathLike[str],
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Save a network as safetensors, all at once or not at all.

    Parameters
    ----------
    net : Sam
        Not fused for inference.
    path : str or path
        Its folder is made; a file there is replaced.
    dtype : torch.dtype, optional
        Precision of the weights in the file, to make it smaller. Statistics of batch normalisation and the
        frequencies of the positional encoding, a few kB, stay as they are: small variances would not survive.
    metadata : mapping of str to str, optional
        For the file's header, besides the network's kind.

    Raises
    ------
    CheckpointError
        If the file cannot be written, the network is fused, or a weight is too large for `dtype`.
    """
    if dtype is not None and dtype not in _DTYPES:
        raise CheckpointError(f"cannot save weights as {dtype}; choose float32, float16 or bfloat16")
    target = Path(path)
    state = _plain_state(net, target)
    for name, _ in net.named_parameters():
        state[name] = _narrowed(state[name], dtype, name)
    header = {"format": "pt", "kind": net.kind} | dict(metadata or {})
    wrong = [key for key, value in header.items() if not isinstance(value, str)]
    if wrong:
        raise CheckpointError(f"metadata {wrong[0]!r} is {header[wrong[0]]!r}; safetensors take text only")
    with replacing(target) as temporary:
        save_file(state, temporary, header)


def save_official(net: Sam, path: str | os.PathLike[str]) -> None:
    """Save a network as the official programs do: ``torch.save`` of the bare state dict.

    Parameters
    ----------
    net : Sam
        Not fused for inference. Of kind ViT or TinyViT, other programs can load the file unchanged; a dense
        decoder and a quality head of ours are left out, since none of them knows them.
    path : str or path
        Its folder is made; a file there is replaced.

    Raises
    ------
    CheckpointError
        If the file cannot be written, or the network is fused.
    """
    target = Path(path)
    state = {k: v for k, v in _plain_state(net, target).items() if not k.startswith((_DENSE, _QUALITY))}
    with replacing(target) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def checkpoint_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal digits; read in pieces.

    Raises
    ------
    CheckpointError
        If the file cannot be read.
    """
    return file_digest(Path(path))


def weights_fingerprint(net: nn.Module) -> str:
    """SHA-256 of a network's state dict: names, types, shapes and values, wherever they are in memory.

    Two networks of equal fingerprint compute the same; use it as a key where no checkpoint file exists.

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
    """Look up a name; None for what is meant as a path."""
    if not isinstance(source, str):
        return None
    if source in model_names():
        return model_info(source)
    path = Path(source)
    if source and (len(path.parts) > 1 or path.suffix.lower() in _SUFFIXES or os.path.exists(path.expanduser())):
        return None
    return model_info(source)  # raises, naming what there is


def _decoder_state(path: Path) -> dict[str, Tensor]:
    """Read an instance decoder that has its file for itself, or shares it with a network."""
    state = read_state(path)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and any(key.startswith("image_encoder.") for key in state):
        # `read_state` has checked the same file, so that this is a mapping and nothing in it is refused.
        part = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("decoder_state")
        if isinstance(part, Mapping) and part:
            return {key: value for key, value in part.items() if isinstance(key, str) and isinstance(value, Tensor)}
    return state


def _usable_device(device: str | torch.device) -> torch.device:
    try:
        where = torch.device(device)
        if where.type != "meta":
            torch.empty(0, device=where)  # asks the driver
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        reason = str(err).splitlines()[0]
        raise DeviceError(f"device {str(device)!r} cannot be used here ({reason}); use 'cpu'") from err
    return where


def _hollow(kind: str, dense: bool | None = None, quality: bool = False) -> Sam:
    """Build a network whose weights have no memory yet, but whose constants are real."""
    with _EmptyOnMeta():
        net = build_sam(kind, dense)
        net.quality_head = QualityHead().eval() if quality else None
        return net


def _filled(kind: str, state: Mapping[str, Tensor], path: Path, device: torch.device) -> Sam:
    net = _hollow(kind, *(any(key.startswith(part) for key in state) for part in (_DENSE, _QUALITY)))
    own = net.state_dict()
    check_fit(state, own, kind, path)
    # Copies, since a file that is changed or taken away under a mapped network kills the process.
    weights = {name: state[name].to(device, value.dtype, copy=True).contiguous() for name, value in own.items()}
    net.load_state_dict(weights, assign=True)
    return net.to(device).eval()


def _plain_state(net: Sam, path: Path) -> dict[str, Tensor]:
    """Copy the state dict, if it is one that can be loaded again."""
    state = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in net.state_dict().items()}
    own = _hollow(net.kind, net.dense_decoder is not None, net.quality_head is not None).state_dict()
    if changed := sorted(own.keys() ^ state.keys()):
        raise CheckpointError(
            f"cannot save {path}: the network's keys are not those of {net.kind} any more ({changed[0]}); "
            f"save it before it is fused for inference"
        )
    return state


def _narrowed(value: Tensor, dtype: torch.dtype | None, name: str) -> Tensor:
    if dtype is None or not value.is_floating_point():
        return value
    reach = max(abs(float(end)) for end in value.aminmax())
    if reach > torch.finfo(dtype).max:
        raise CheckpointError(f"{name} reaches {reach:.3g}, too large for {dtype}; use bfloat16")
    return value.to(dtype)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file that gets the name `path` if all goes well, and vanishes otherwise.

    Parameters
    ----------
    path : Path
        Its folder is made; a file there is replaced at the end, all at once.

    Yields
    ------
    Path
        The file to write, readable by those whom the user's umask lets.

    Raises
    ------
    CheckpointError
        If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # safetensors leaves files that only their owner may read
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError, RuntimeError) as err:
        raise CheckpointError(f"cannot write {path}: {str(err).splitlines()[0]}") from err
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
