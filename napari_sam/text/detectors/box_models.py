"""OWLv2, Grounding DINO, CLIPSeg and SAM 3 as `TextDetector`; none of them needs torchvision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from napari_sam.text.text_detector import Detections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

_LEAST = 0.02  # scores below it are never accepted; there are as many as places in the picture
_SAM3_TOKENS = 32


class _Network(Protocol):
    """A network of transformers, called with named tensors."""

    @property
    def config(self) -> Any: ...

    def __call__(self, **inputs: Tensor) -> Any: ...


class _Processor(Protocol):
    """Makes the inputs of a network of a picture and a phrase."""

    def __call__(self, **inputs: Any) -> Mapping[str, Tensor]: ...


class TransformersDetector(ABC):
    """The part that all these models have in common.

    Parameters
    ----------
    name : str
        Name of the model, for messages and records.
    network : PreTrainedModel
        The model, in evaluation mode.
    processor : ProcessorMixin or PreTrainedTokenizer
        Makes its inputs.
    device : str
        Device of the network.

    Attributes
    ----------
    side : int
        Side of the picture that the model sees, pixels.
    threshold : float
        Score from which an object is accepted by default: that of the model's authors.
    """

    threshold = 0.3

    def __init__(self, name: str, network: _Network, processor: _Processor, device: str = "cpu") -> None:
        self.name, self.network, self.processor, self.device = name, network, processor, device
        self.side = self.side_of(network.config)

    @staticmethod
    def side_of(config: Any) -> int:
        """Return the side of the picture that a network sees."""
        return int(config.vision_config.image_size)

    @torch.inference_mode()
    def detect(self, rgb: NDArray[np.uint8], text: str) -> Detections:
        """Find objects; see `TextDetector.detect`."""
        inputs = {key: value.to(self.device) for key, value in self.inputs(rgb, text).items()}
        found = self.read(self.network(**inputs), (rgb.shape[0], rgb.shape[1]))
        return found.subset(found.scores >= _LEAST)

    def inputs(self, rgb: NDArray[np.uint8], text: str) -> Mapping[str, Tensor]:
        """Return the inputs of the network."""
        return self.processor(text=[[text]], images=Image.fromarray(rgb), return_tensors="pt")

    @abstractmethod
    def read(self, outputs: Any, shape: tuple[int, int]) -> Detections:
        """Return the objects in the network's output, in pixels of a picture of a shape (height, width)."""


class Owlv2Detector(TransformersDetector):
    """OWLv2, of M. Minderer et al., "Scaling Open-Vocabulary Object Detection", 2023."""

    threshold = 0.1

    def read(self, outputs: Any, shape: tuple[int, int]) -> Detections:
        """Return the boxes; the network sees the picture padded to a square."""
        scores = outputs.logits[0].amax(-1).sigmoid().float().cpu().numpy()
        return Detections(_corners(outputs.pred_boxes[0]) * max(shape), scores)


class GroundingDinoDetector(TransformersDetector):
    """Grounding DINO, of S. Liu et al., "Grounding DINO", 2023."""

    threshold = 0.25

    @staticmethod
    def side_of(config: Any) -> int:
        """Return the short side to which its image processor scales."""
        return 800

    def inputs(self, rgb: NDArray[np.uint8], text: str) -> Mapping[str, Tensor]:
        """Return the inputs; a phrase ends with a full stop."""
        phrase = f"{text.strip().lower().rstrip('.')}."
        return self.processor(text=[phrase], images=Image.fromarray(rgb), return_tensors="pt")

    def read(self, outputs: Any, shape: tuple[int, int]) -> Detections:
        """Return the boxes; a box fits as well as its best word does."""
        scores = outputs.logits[0].float().sigmoid().amax(-1).cpu().numpy()
        return Detections(_corners(outputs.pred_boxes[0]) * np.array(shape * 2), scores)


class ClipSegDetector(TransformersDetector):
    """CLIPSeg, of T. Lüddecke and A. Ecker, "Image Segmentation Using Text and Image Prompts", 2022.

    It gives one map for a phrase: every connected area above `threshold` is an object, with the mean of the map in it.
    """

    threshold = 0.4

    @staticmethod
    def side_of(config: Any) -> int:
        """Return the side to which its image processor scales."""
        return 352

    def inputs(self, rgb: NDArray[np.uint8], text: str) -> Mapping[str, Tensor]:
        """Return the inputs."""
        return self.processor(text=[text], images=[Image.fromarray(rgb)], padding=True, return_tensors="pt")

    def read(self, outputs: Any, shape: tuple[int, int]) -> Detections:
        """Return the box of each connected area of the map."""
        heat = outputs.logits.reshape(-1, *outputs.logits.shape[-2:])[0].sigmoid().float().cpu().numpy()
        areas, count = ndimage.label(heat >= self.threshold)
        boxes = [[r.start, c.start, r.stop, c.stop] for r, c in ndimage.find_objects(areas)]
        scores = ndimage.mean(heat, areas, np.arange(1, count + 1)) if count else np.zeros(0)
        return Detections.of(np.array(boxes, float).reshape(-1, 4) * np.divide(shape * 2, heat.shape * 2), scores)


class Sam3Detector(TransformersDetector):
    """SAM 3, of N. Carion et al., "SAM 3: Segment Anything with Concepts", 2025: phrases, not boxes as examples.

    Its image processor, and boxes as examples, need torchvision; phrases do not, so pictures are prepared here.
    """

    threshold = 0.5

    @staticmethod
    def side_of(config: Any) -> int:
        """Return the side of the picture that it sees."""
        return int(config.vision_config.backbone_config.image_size)

    def inputs(self, rgb: NDArray[np.uint8], text: str) -> Mapping[str, Tensor]:
        """Return the inputs: the picture stretched to a square, its values from -1 to 1."""
        picture = Image.fromarray(rgb).resize((self.side, self.side), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1  # (1, 3, S, S)
        length = min(_SAM3_TOKENS, int(self.network.config.text_config.max_position_embeddings))
        words = self.processor(
            text=[text], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        return {"pixel_values": pixels, "input_ids": words["input_ids"], "attention_mask": words["attention_mask"]}

    def read(self, outputs: Any, shape: tuple[int, int]) -> Detections:
        """Return the boxes; a score is that the phrase is there at all, times that the box shows it."""
        present = outputs.presence_logits.reshape(-1)[0].sigmoid()
        scores = (outputs.pred_logits[0].sigmoid() * present).float().cpu().numpy()
        boxes = outputs.pred_boxes[0].float().cpu().numpy().astype(np.float64)[:, [1, 0, 3, 2]]
        return Detections(boxes * np.array(shape * 2), scores)


def _corners(boxes: Tensor) -> NDArray[np.float64]:
    """Convert boxes (n, 4) from (x, y, width, height) of the centre to (y0, x0, y1, x1)."""
    x, y, w, h = boxes.float().cpu().numpy().astype(np.float64).T
    return np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=1)
