"""One step of tracking: answer a prompt on a frame, or find objects in a frame by their memory."""

from __future__ import annotations

import copy
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from src_models.networks.prompt_encoder import PAD_POINT
from src_models.networks.sam2.config import MEMORY_WIDTH, POINTER_FRAMES, WIDTH
from src_models.networks.sam2.memory_attention import MemoryTokens
from src_models.networks.sam2.positions import sine_distances, sine_map
from src_models.video.object_memory import FrameMemory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from src_models.networks.mask_decoder import Detail
    from src_models.networks.sam2.mask_decoder import ObjectMask
    from src_models.networks.sam2.network import Sam2

_ABSENT_LOGIT = -1024.0
_GIVEN_LOGIT = 10.0  # of masks that the user gives


@dataclass(frozen=True)
class FrameFeatures:
    """Features of a frame, the same for all objects.

    Attributes
    ----------
    image : Tensor
        (1, 256, h, w) image map, not conditioned on any memory.
    detail : Detail
        Finer features.
    """

    image: Tensor
    detail: Detail | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width (h, w) of the image map."""
        return int(self.image.shape[-2]), int(self.image.shape[-1])


@dataclass(frozen=True)
class Conditioning:
    """What conditions a frame for one object.

    Attributes
    ----------
    frames : list of (int, FrameMemory)
        Memories with the index of their temporal position.
    pointers : list of (int, Tensor)
        Object pointers with their distances in time.
    """

    frames: list[tuple[int, FrameMemory]]
    pointers: list[tuple[int, Tensor]]

    @property
    def layout(self) -> tuple[int, int]:
        """Number of frames and pointers; objects with the same layout fit into a batch."""
        return len(self.frames), len(self.pointers)


class FrameTracker:
    """Run the parts of a network on a frame, for several objects at once.

    Parameters
    ----------
    net : Sam2
        The network, in evaluation mode.
    length : int
        Number of frames of the video, on which the scale of distances in time depends.
    """

    def __init__(self, net: Sam2, length: int) -> None:
        self.net, self.length = net, length
        self._decoder = net.mask_decoder
        if self._decoder.iou_token.weight.dtype is not torch.float32:  # a runner's decoder; here autocast converts
            self._decoder = copy.deepcopy(net.mask_decoder).float()
        self._pe: dict[tuple[int, int], Tensor] = {}

    def features(self, pixels: Tensor) -> FrameFeatures:
        """Encode a frame, (3, S, S) RGB in 0...255 at the size of the network's input."""
        return self.split(self.encode(pixels))

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode a frame as `features`, in one packed tensor (1, 1024, h, w)."""
        packed: Tensor = self.net.embed_frame(self.net.preprocess(pixels[None]))
        return packed

    def split(self, packed: Tensor) -> FrameFeatures:
        """Return the features of a frame that `encode` packed."""
        return FrameFeatures(*self._decoder.split(packed))

    def answer(
        self,
        features: FrameFeatures,
        coords: Tensor,
        labels: Tensor,
        logits: Tensor | None,
        conditioning: Conditioning | None,
    ) -> FrameMemory:
        """Answer the prompts on one object in a frame.

        Parameters
        ----------
        features : FrameFeatures
            The frame.
        coords, labels : Tensor
            (P, 2) x, y in pixels of the network's input, and (P,) labels; a box as its two corners.
        logits : Tensor or None
            (1, 4h, 4w) low-res logits of an earlier answer.
        conditioning : Conditioning or None
            Memory of the object, where the frame was tracked before.
        """
        image = self._without_memory(features) if conditioning is None else self.conditioned(features, [conditioning])
        multimask = len(labels) <= 1  # one click is ambiguous
        mask = self._decode(features, image, coords[None], labels[None], logits, multimask)
        return self._memories(mask)[0]

    def given(self, features: FrameFeatures, mask: Tensor) -> FrameMemory:
        """Take a mask, (S, S) bool at the size of the network's input, as the answer; the network gives its pointer."""
        inside = mask[None, None].to(features.image.dtype)
        low_res = _reduced(inside, 4) * 2 * _GIVEN_LOGIT - _GIVEN_LOGIT
        decoded = self._decode(features, features.image, None, None, self.net.mask_downsample(inside)[0], False)
        memory = self._memories(decoded)[0]
        present = bool(mask.any())
        pointer = memory.pointer if present else self.net.no_obj_ptr[0].float()
        score = low_res.new_full((1,), _GIVEN_LOGIT if present else -_GIVEN_LOGIT).float()
        return FrameMemory(low_res[0].float(), score, memory.predicted_iou, pointer)

    def track(self, features: FrameFeatures, conditionings: Sequence[Conditioning]) -> list[FrameMemory]:
        """Find objects in a frame by their memories, which have the same layout; return them with new memories."""
        image = self.conditioned(features, conditionings)
        memories = self._memories(self._decode(features, image, None, None, None, True))
        return self.remembered(features, memories, binarise=False)

    def remembered(
        self, features: FrameFeatures, memories: Sequence[FrameMemory], *, binarise: bool
    ) -> list[FrameMemory]:
        """Return the memories of a frame with their tokens.

        Parameters
        ----------
        features : FrameFeatures
            The frame.
        memories : sequence of FrameMemory
            Objects in it.
        binarise : bool
            Encode the masks at threshold 0, as for prompted frames, instead of their probabilities.
        """
        logits = torch.stack([memory.logits for memory in memories])
        encoded = self.net.memory_encoder(features.image, logits, binarise)
        absent = torch.stack([memory.object_score for memory in memories]) <= 0  # (N, 1)
        if self.net.no_obj_embed_spatial is not None:
            encoded = encoded + (absent * self.net.no_obj_embed_spatial)[..., None, None]
        tokens = encoded.flatten(2).transpose(1, 2).to(torch.bfloat16)
        return [replace(memory, tokens=some.contiguous()) for memory, some in zip(memories, tokens, strict=True)]

    def conditioned(self, features: FrameFeatures, conditionings: Sequence[Conditioning]) -> Tensor:
        """Return the image map of a frame, conditioned on the memories of N objects: (N, 256, h, w)."""
        shape, device = features.shape, features.image.device
        values = torch.stack([torch.cat([_tokens(m) for _, m in c.frames]) for c in conditionings]).float()
        index = torch.tensor([[i for i, _ in c.frames] for c in conditionings], device=device)
        positions = (
            self.net.maskmem_tpos_enc[index].squeeze(2)  # (N, F, 1, 64)
            + sine_map(MEMORY_WIDTH, shape, device)[:, None]
        ).flatten(1, 2)  # (N, F * h * w, 64)
        pointers = WIDTH // MEMORY_WIDTH * len(conditionings[0].pointers)
        if pointers:
            tokens = torch.stack([torch.stack([p for _, p in c.pointers]) for c in conditionings])
            values = torch.cat([values, tokens.reshape(len(tokens), pointers, MEMORY_WIDTH)], dim=1)
            positions = torch.cat([positions, self._pointer_positions(conditionings, device)], dim=1)
        memory = MemoryTokens(values, positions.expand(len(values), -1, -1), pointers)
        out: Tensor = self.net.memory_attention(features.image, memory)
        return out

    def _without_memory(self, features: FrameFeatures) -> Tensor:
        return features.image + self.net.no_mem_embed.view(1, WIDTH, 1, 1)

    def _pointer_positions(self, conditionings: Sequence[Conditioning], device: torch.device) -> Tensor:
        """Encode the distances of the pointers, the same for the tokens of one: (N, P, 64)."""
        distances = torch.tensor(
            [[d for d, _ in c.pointers] for c in conditionings], dtype=torch.float32, device=device
        )
        parts = WIDTH // MEMORY_WIDTH
        if self.net.obj_ptr_tpos_proj is None:
            return distances.new_zeros(*distances.shape[:1], parts * distances.shape[1], MEMORY_WIDTH)
        span = max(1, min(self.length, POINTER_FRAMES) - 1)
        encoded: Tensor = self.net.obj_ptr_tpos_proj(sine_distances(distances / span, WIDTH))
        return encoded.repeat_interleave(parts, dim=1)

    def _decode(
        self,
        features: FrameFeatures,
        image: Tensor,
        coords: Tensor | None,
        labels: Tensor | None,
        logits: Tensor | None,
        multimask: bool,
    ) -> ObjectMask:
        """Decode N objects; without points, tracking gives two points that are none, as the official code does."""
        n, shape = image.shape[0], features.shape
        if coords is None or labels is None:
            coords = image.new_zeros(n, 1, 2, dtype=torch.float32)
            labels = torch.full((n, 1), PAD_POINT, device=image.device)
        coords = torch.cat([coords, coords.new_zeros(n, 1, 2)], dim=1)
        labels = torch.cat([labels, labels.new_full((n, 1), PAD_POINT)], dim=1)
        if shape not in self._pe:
            self._pe[shape] = self.net.prompt_encoder.dense_pe(shape)
        masks = None if logits is None else logits[:, None]
        prompt = self.net.prompt_encoder(coords, labels, masks, shape)
        decoder = self._decoder
        state = decoder.run_transformer(image, features.detail, prompt, self._pe[shape])
        return decoder.object_mask(state, multimask)

    def _memories(self, mask: ObjectMask) -> list[FrameMemory]:
        """Convert decoded objects to memories without tokens; absent objects get an empty mask and a fixed pointer."""
        present = mask.object_score.float() > 0  # (N, 1)
        logits = torch.where(present[..., None, None], mask.logits.float(), _ABSENT_LOGIT)
        pointers = torch.where(present, self.net.obj_ptr_proj(mask.token).float(), self.net.no_obj_ptr.float())
        best = mask.predicted_iou.float().amax(1, keepdim=True)
        rows = zip(logits[:, 0], mask.object_score.float(), best, pointers, strict=True)
        return [FrameMemory(values[None], score, iou, pointer) for values, score, iou, pointer in rows]


@contextmanager
def computing(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Run a network without gradients, its matrix products in the given precision."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast(device.type, dtype, enabled=dtype is not torch.float32))
        yield


def _tokens(memory: FrameMemory) -> Tensor:
    if memory.tokens is None:
        raise RuntimeError("a memory without tokens cannot condition a frame")
    return memory.tokens


def _reduced(x: Tensor, factor: int) -> Tensor:
    """Reduce (N, 1, H, W) by a factor, with antialiasing."""
    size = (x.shape[-2] // factor, x.shape[-1] // factor)
    return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
