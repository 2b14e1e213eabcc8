"""Adapters: what fine-tuning changed in a network, in a file much smaller than the network.

A safetensors file with the factors of low-rank updates, ``LAYER.lora_a`` (r, n) and ``LAYER.lora_b`` (m, r), and the
other weights that were trained as a whole. Its header names the network that it belongs to, with a fingerprint.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from src_models.checkpoints.checkpoint_writing import replacing_checkpoint
from src_models.checkpoints.state_dicts import UNREADABLE
from src_models.model_errors import CheckpointError
from src_models.networks.low_rank import low_rank_updates

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor, nn

    from src_models.networks.promptable import PromptableNetwork

_HEADER = "adapter"
_A, _B = ".lora_a", ".lora_b"


@dataclass(frozen=True)
class AdapterBase:
    """The network that an adapter belongs to.

    Attributes
    ----------
    source : str
        Registered name or checkpoint file.
    fingerprint : str
        Its `weights_fingerprint`, without the heads that rate masks.
    scale : float
        Factor on the product of the low-rank factors.
    """

    source: str
    fingerprint: str
    scale: float


def _adapter_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Return the factors of a network's low-rank updates, and its other weights that require a gradient."""
    tensors = {}
    for name, update in low_rank_updates(net).items():
        tensors[name + _A], tensors[name + _B] = update.lora_a, update.lora_b
    state = net.state_dict()
    for name, module in net.named_modules():
        own = [key for key, value in module.named_parameters(recurse=False) if value.requires_grad]
        if own and ".parametrizations" not in name:
            buffers = [key for key, _ in module.named_buffers(recurse=False)]
            keys = (f"{name}.{key}" if name else key for key in own + buffers)
            tensors |= {key: state[key] for key in keys if key in state}
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


def save_adapter(
    net: PromptableNetwork,
    path: str | os.PathLike[str],
    base: AdapterBase,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Save the low-rank updates of a network, and the other weights that were trained; `load_network` merges them.

    Parameters
    ----------
    net : PromptableNetwork
        With low-rank updates; other parameters that require a gradient are saved whole.
    path : str or path
        Its folder is made; an existing file is replaced.
    base : AdapterBase
        The network without the updates.
    metadata : mapping of str to str, optional
        Entries for the file's header.

    Raises
    ------
    CheckpointError
        If the file cannot be written.
    """
    tensors = _adapter_tensors(net)
    header = {"format": "pt", "kind": net.kind} | {_HEADER: json.dumps(asdict(base))} | dict(metadata or {})
    with replacing_checkpoint(Path(path)) as temporary:
        save_file(tensors, temporary, header)


def read_adapter_base(path: Path) -> AdapterBase | None:
    """Return the network that the adapter in a file belongs to; None if the file is no adapter.

    Raises
    ------
    CheckpointError
        If the header is damaged.
    """
    try:
        if not path.is_file():  # a pipe would wait forever
            return None
        with path.open("rb") as file:
            if file.read(9)[8:] != b"{":
                return None
        with safe_open(path, "pt") as opened:
            text = (opened.metadata() or {}).get(_HEADER)
    except (SafetensorError, *UNREADABLE):
        return None  # reading the weights names the problem
    if text is None:
        return None
    try:
        entry = json.loads(text)
        return AdapterBase(str(entry["source"]), str(entry["fingerprint"]), float(entry["scale"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} has a damaged header ({error})", remedy="copy the adapter again") from error


def apply_adapter(state: dict[str, Tensor], tensors: Mapping[str, Tensor], base: AdapterBase, path: Path) -> None:
    """Merge an adapter into the state dict of its network.

    Parameters
    ----------
    state : dict of str to Tensor
        Is changed: updated weights are W + scale * B A, and whole weights are replaced.
    tensors : mapping of str to Tensor
        Tensors of the adapter's file.
    base : AdapterBase
        From its header.
    path : Path
        For messages.

    Raises
    ------
    CheckpointError
        If factors have no weight that they fit.
    """
    for name, value in tensors.items():
        if name.endswith(_B):
            continue
        if not name.endswith(_A):
            state[name] = value
            continue
        layer = name.removesuffix(_A)
        weight, factor = state.get(f"{layer}.weight"), tensors.get(layer + _B)
        if weight is None or factor is None or (factor.shape[0], value.shape[1]) != tuple(weight.shape):
            raise CheckpointError(
                f"{path} has an update of {layer} that does not fit {base.source}", remedy="copy the adapter again"
            )
        state[f"{layer}.weight"] = weight + base.scale * (factor.float() @ value.float()).to(weight.dtype)
