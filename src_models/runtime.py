"""Run a network for inference, on the right device, in the right precision, with folded normalisations."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from src_models.model_errors import DeviceError
from src_models.networks.crop_decoder import CropPrompts, decode_crops
from src_models.networks.dense_decoder import DenseDecoder
from src_models.networks.layers import ConvNorm
from src_models.networks.mask_decoder import DecodedMasks
from src_models.networks.mask_judge import JudgedMasks
from src_models.networks.prompt_encoder import BOTTOM_RIGHT, TOP_LEFT, pad_prompts
from src_models.networks.quality_head import PromptTensors
from src_models.thread_waiting import one_thread, set_passive_waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from src_models.networks.promptable import PromptableNetwork

_PRECISIONS = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}
_SMALL_ENCODER = 15_000_000  # parameters: the default model, MobileSAM and EfficientSAM-Ti, but not ViT-B
_FEW_PROMPTS = 4  # that a user's click decodes; grids of points decode many, which keep several threads busy
_DECODE_BATCH = 8  # objects decoded together on a CPU, whose image tokens fit into the cache


@dataclass(frozen=True)
class WindowInfo:
    """What is known of a window besides its embedding, for the heads that rate masks.

    Attributes
    ----------
    network_shape : (int, int)
        Height and width of the image in the network's input, without padding.
    maps : Tensor or None
        (3, 4h, 4w) maps of the dense decoder, on any device; None without one.
    accepted_px : float
        Long side of objects that were accepted in this image, in pixels of the network's input; 0 if unknown.
    mirrored : Tensor or None
        Embedding (1, C, h, w) of the window mirrored left to right: the logits are averaged with those from it.
    """

    network_shape: tuple[int, int]
    maps: Tensor | None = None
    accepted_px: float = 0.0
    mirrored: Tensor | None = None


def available_devices() -> list[str]:
    """Return the names that `choose_device` takes on this machine: "auto" and "cpu", and those of its accelerators."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["auto", "cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def choose_device(device: str = "auto") -> torch.device:
    """Choose the device to run on.

    Parameters
    ----------
    device : str
        "auto" (CUDA, then Apple's MPS, then the CPU) or a torch device such as "cuda:1".

    Raises
    ------
    DeviceError
        If the device is unknown, or not present on this machine.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        remedy = "use 'auto', 'cpu', 'cuda' or 'mps'"
        raise DeviceError(f"device is {device!r}", parameter="device", remedy=remedy) from error
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(chosen.type, False):
        message = f"device is {device!r}, which is not present on this machine"
        raise DeviceError(message, parameter="device", remedy="use 'auto' or 'cpu'")
    return chosen


def choose_precision(precision: str, device: torch.device, kind: str) -> torch.dtype:
    """Choose the number format of matrix products.

    Parameters
    ----------
    precision : str
        "auto", "float32", "bfloat16" or "float16". Auto is bfloat16 if the hardware multiplies it fast
        (CUDA from Ampere on, CPUs with AMX or AVX-512 BF16), else float32.
    device : torch.device
        Device to run on.
    kind : str
        Architecture. ViT-H overflows in float16 (segment-anything issue 540), which is therefore refused.

    Raises
    ------
    DeviceError
        If the precision is unknown or unsuitable.
    """
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        fast = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if precision not in _PRECISIONS:
        remedy = "use 'auto', 'float32', 'bfloat16' or 'float16'"
        raise DeviceError(f"precision is {precision!r}", parameter="precision", remedy=remedy)
    dtype = _PRECISIONS[precision]
    if dtype is torch.float16 and (kind == "vit_h" or device.type == "cpu"):
        reason = "overflows in ViT-H" if kind == "vit_h" else "is slow on a CPU"
        message = f"precision is 'float16', which {reason}"
        raise DeviceError(message, parameter="precision", remedy="use 'bfloat16' or 'float32'")
    return dtype


class Runner:
    """Network ready for inference.

    Parameters
    ----------
    net : PromptableNetwork
        The network, which is copied.
    device : str
        As in `choose_device`.
    precision : str
        As in `choose_precision`.
    decode_on_one_thread : bool, optional
        Decode few prompts with one thread where the device is a CPU. By default where threads spin while they wait for
        each other (`set_passive_waiting`).
    """

    def __init__(
        self,
        net: PromptableNetwork,
        device: str = "auto",
        precision: str = "auto",
        *,
        decode_on_one_thread: bool | None = None,
    ) -> None:
        self.kind = net.kind
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device, net.kind)
        self.img_size = net.img_size
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        for module in self.net.image_encoder.modules():
            if isinstance(module, ConvNorm):
                module.fuse()
        self.net.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Entirely in low precision: autocast would convert every normalised tensor twice.
        self.net.mask_decoder.to(self.dtype)
        self._pe: dict[tuple[int, int], Tensor] = {}
        one = set_passive_waiting() if decode_on_one_thread is None else decode_on_one_thread
        self.decode_on_one_thread = one and self.device.type == "cpu"
        self._is_small = sum(p.numel() for p in net.image_encoder.parameters()) <= _SMALL_ENCODER

    def one_window(self) -> AbstractContextManager[None]:
        """Compute a single window for which someone waits: a small encoder on one thread where threads spin.

        On a busy machine two spinning threads take seconds for what one computes in a tenth of a second. Batches of
        windows (everything-mode) and large encoders, which one thread would delay more, are better without this.
        """
        return one_thread() if self.decode_on_one_thread and self._is_small else nullcontext()

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Embed RGB images.

        Parameters
        ----------
        images : sequence of ndarray of uint8
            (h, w, 3), not larger than the network's input; smaller images are padded as in SAM.

        Returns
        -------
        Tensor
            (B, C, H, W) in the precision of the runner; C is 256, or 1024 with the finer features of SAM 2.
        """
        with torch.inference_mode(), self._autocast():
            tensors = [torch.from_numpy(np.array(i)).to(self.device) for i in images]
            batch = torch.cat([self.net.preprocess(t.permute(2, 0, 1)[None]) for t in tensors])
            embedding = self.net.embed(batch.contiguous(memory_format=torch.channels_last))
            return embedding.to(self.dtype)

    @property
    def has_judge(self) -> bool:
        """Whether the network has a mask judge, which reads the dense maps."""
        return self.net.mask_judge is not None

    @property
    def has_dense(self) -> bool:
        """Whether the network has a dense decoder."""
        return self.net.dense_decoder is not None

    def attach_dense(self, decoder: nn.Module) -> None:
        """Add a dense decoder, such as micro-sam's, whose files are separate from those of the network."""
        self.net.dense_decoder = decoder.eval().requires_grad_(False).to(self.device)

    def dense(self, embedding: Tensor) -> Tensor:
        """Compute the dense maps of a window.

        Parameters
        ----------
        embedding : Tensor
            (1, 256, h, w).

        Returns
        -------
        Tensor
            float32, on the CPU: (3, H, W) in [0, 1], including padding; channels as in `networks.dense_decoder`.

        Raises
        ------
        DeviceError
            If the network has no dense decoder.
        """
        decoder = self.net.dense_decoder
        if decoder is None:
            raise DeviceError(f"{self.kind} has no dense decoder", remedy="load a model that has one")
        with torch.inference_mode(), self._autocast():
            maps: Tensor = decoder(embedding.contiguous(memory_format=torch.channels_last))
            return maps[0].float().cpu()

    def dense_with_features(self, embedding: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute the dense maps of a window, and the features of which the decoder makes them.

        Parameters
        ----------
        embedding : Tensor
            As in `dense`.

        Returns
        -------
        maps : Tensor
            As from `dense`.
        features : Tensor or None
            (1, 128, h, w) in the precision of the runner; None if the decoder is not that of the default model.
        """
        decoder = self.net.dense_decoder
        if not isinstance(decoder, DenseDecoder):
            return self.dense(embedding), None
        with torch.inference_mode(), self._autocast():
            features = decoder.features(embedding.contiguous(memory_format=torch.channels_last))
            maps = torch.sigmoid(decoder.from_features(features))
            return maps[0].float().cpu(), features

    def decode(
        self,
        embedding: Tensor,
        prompts: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]],
        masks: Sequence[NDArray[np.float32] | None] | None = None,
        multimask: bool = True,
        info: WindowInfo | None = None,
    ) -> DecodedMasks:
        """Decode N prompts on an image.

        Parameters
        ----------
        embedding : Tensor
            (1, 256, h, w).
        prompts : sequence of (ndarray, ndarray)
            (P, 2) coordinates x, y and (P,) labels of each object; P may differ between objects.
        masks : sequence of ndarray, optional
            (4h, 4w) low-res logits of an earlier prediction for each object, or None.
        multimask : bool
            Return three masks for each object, or one.
        info : WindowInfo, optional
            What a mask judge or a quality head reads besides the masks. Without it, the mask decoder's own predicted
            IoU is returned.

        Returns
        -------
        DecodedMasks
            float32, on the CPU: logits (N, M, 4h, 4w) and predicted IoU (N, M), by the network's mask judge or quality
            head if it has one.
        """
        size = len(prompts) if self.device.type != "cpu" else _DECODE_BATCH
        parts = []
        single = self.decode_on_one_thread and len(prompts) <= _FEW_PROMPTS
        with one_thread() if single else nullcontext():
            for start in range(0, len(prompts), size):
                stop = min(start + size, len(prompts))
                batch_masks = None if masks is None else masks[start:stop]
                parts.append(self._decode(embedding, prompts[start:stop], batch_masks, multimask, info))
        return DecodedMasks(torch.cat([p.logits for p in parts]), torch.cat([p.predicted_iou for p in parts]))

    def decode_crops(self, embedding: Tensor, prompts: CropPrompts) -> DecodedMasks:
        """Decode prompts, each on a crop of an embedding (1, 256, h, w) around its object; see `decode_crops`.

        Returns
        -------
        DecodedMasks
            float32, on the CPU: logits (N, 3, 4 * side, 4 * side) of the crops and predicted IoU (N, 3).
        """
        with torch.inference_mode():
            decoded = decode_crops(self.net, embedding.to(self.dtype), prompts.to(self.device))
            return DecodedMasks(decoded.logits.float().cpu(), decoded.predicted_iou.float().cpu())

    def _decode(
        self,
        embedding: Tensor,
        prompts: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]],
        masks: Sequence[NDArray[np.float32] | None] | None,
        multimask: bool,
        info: WindowInfo | None,
    ) -> DecodedMasks:
        pairs = [(torch.from_numpy(c), torch.from_numpy(v)) for c, v in prompts]
        coords, labels = (t.to(self.device) for t in pad_prompts(pairs, self.net.prompt_encoder.pad_boxes))
        shape = (embedding.shape[-2], embedding.shape[-1])
        low_res, has_mask = self._mask_batch(masks, shape)
        with torch.inference_mode():
            if shape not in self._pe:
                self._pe[shape] = self.net.prompt_encoder.dense_pe(shape).to(self.dtype)
            prompt = self.net.prompt_encoder(coords, labels, low_res, shape, has_mask)
            decoded = self.net.mask_decoder(
                embedding.to(self.dtype),
                self._pe[shape],
                prompt.tokens.to(self.dtype),
                prompt.dense.to(self.dtype),
                prompt.valid,
                multimask,
            )
            predicted_iou = decoded.predicted_iou.float()
            if info is not None:
                rows, cols = (-(-n * decoded.logits.shape[-1] // self.img_size) for n in info.network_shape)
                given = PromptTensors(coords, labels, low_res, has_mask, (rows, cols))
                if info.mirrored is not None:
                    decoded = self._averaged(decoded, given, info.mirrored, info.network_shape[1])
                predicted_iou = self._rate(decoded, given, embedding, info)
            return DecodedMasks(decoded.logits.float().cpu(), predicted_iou.cpu())

    def _averaged(self, decoded: DecodedMasks, given: PromptTensors, mirrored: Tensor, width: int) -> DecodedMasks:
        """Average masks with those of the same prompts on the mirrored image, `width` pixels wide."""
        shape = (mirrored.shape[-2], mirrored.shape[-1])
        coords = mirrored_points(given.coords, given.labels, width)
        cols = given.used[1]
        masks = None if given.masks is None else mirrored_columns(given.masks, cols)
        prompt = self.net.prompt_encoder(coords, given.labels, masks, shape, given.has_mask)
        other = self.net.mask_decoder(
            mirrored.to(self.dtype),
            self._pe[shape],
            prompt.tokens.to(self.dtype),
            prompt.dense.to(self.dtype),
            prompt.valid,
            decoded.logits.shape[1] > 1,
        )
        return DecodedMasks(
            (decoded.logits + mirrored_columns(other.logits, cols)) / 2,
            (decoded.predicted_iou + other.predicted_iou) / 2,
            decoded.mask_tokens,
        )

    def _rate(self, decoded: DecodedMasks, given: PromptTensors, embedding: Tensor, info: WindowInfo) -> Tensor:
        """Predict the IoU of decoded masks, (N, M), by the best part of the network that can."""
        if self.net.mask_judge is not None and decoded.mask_tokens is not None:
            maps = None if info.maps is None else info.maps.to(self.device)
            seen = JudgedMasks(decoded, decoded.mask_tokens, given, embedding, maps, info.accepted_px)
            return self.net.mask_judge.predict_iou(seen, self.img_size)
        if self.net.quality_head is not None:
            return self.net.quality_head.predict_iou(decoded, given, self.img_size)
        return decoded.predicted_iou.float()

    def _mask_batch(
        self, masks: Sequence[NDArray[np.float32] | None] | None, shape: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Stack mask prompts, with zeros for objects without one; return them and which objects have one."""
        if masks is None or all(m is None for m in masks):
            return None, None
        blank = np.zeros((4 * shape[0], 4 * shape[1]), np.float32)
        stacked = np.stack([blank if m is None else m for m in masks])[:, None]
        has = torch.tensor([m is not None for m in masks], device=self.device)
        return torch.from_numpy(stacked).to(self.device), None if bool(has.all()) else has

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)


def mirrored_columns(x: Tensor, columns: int) -> Tensor:
    """Mirror the first columns of a tensor (..., W); the rest is padding and stays.

    >>> mirrored_columns(torch.tensor([1, 2, 3, 0]), 3).tolist()
    [3, 2, 1, 0]
    """
    return torch.cat([x[..., :columns].flip(-1), x[..., columns:]], dim=-1)


def mirrored_points(coords: Tensor, labels: Tensor, width: int) -> Tensor:
    """Mirror prompts in an image `width` pixels wide; the corners of boxes stay top left and bottom right.

    Parameters
    ----------
    coords : Tensor
        (N, T, 2) as (x, y).
    labels : Tensor
        (N, T) SAM's labels.
    width : int
        Width of the image, in pixels.

    Examples
    --------
    >>> box = torch.tensor([[[2.0, 3.0], [6.0, 9.0]]])
    >>> mirrored_points(box, torch.tensor([[TOP_LEFT, BOTTOM_RIGHT]]), 10).tolist()
    [[[4.0, 3.0], [8.0, 9.0]]]
    """
    x = torch.where((labels == TOP_LEFT) | (labels == BOTTOM_RIGHT), width - coords[..., 0], width - 1 - coords[..., 0])
    for n in torch.nonzero((labels == TOP_LEFT).any(-1))[:, 0].tolist():
        low, high = labels[n] == TOP_LEFT, labels[n] == BOTTOM_RIGHT
        x[n, low], x[n, high] = x[n, high].clone(), x[n, low].clone()
    return torch.stack([x, coords[..., 1]], dim=-1)
