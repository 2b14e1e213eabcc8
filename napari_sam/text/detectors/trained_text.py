"""Phrases as prompts of a network that ``napari-sam train text`` has trained with CLIP embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch.nn import functional as F

from napari_sam.errors import CheckpointError
from napari_sam.text.detectors.transformers_files import ModelFolder, find_model_folder, load_part
from napari_sam.text.text_detector import Detections
from src_models.atomic import replacing, write_json
from src_models.checkpoints.checkpoint_files import load_sam, save_sam
from src_models.networks.text_projection import TextProjection, decode_text
from src_models.training.text.clip_embeddings import ClipEmbedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from src_models.networks.promptable import PromptableNetwork

KIND = "napari-sam-text"  # as `load_detector.TRAINED`
_NETWORK, _PROJECTION, _CONFIG = "model.safetensors", "text.safetensors", "config.json"
_LEAST_PX = 16  # smaller areas of a mask are no object


def load_clip(source: str | Path) -> ClipEmbedder:
    """Load the CLIP model of a folder, or of the Hub's cache, for training or for phrases.

    Raises
    ------
    CheckpointError
        If files are missing or damaged, or it is no CLIP model.
    ModelError
        If transformers is missing.
    """
    folder = find_model_folder(source)
    if folder.kind != "clip":
        raise CheckpointError(
            f"{source}: its model_type is {folder.kind!r}", parameter="clip", remedy="give a folder of CLIP"
        )
    network = load_part(folder, "models.clip.modeling_clip", "CLIPModel", use_safetensors=True)
    processor = load_part(folder, "models.auto.processing_auto", "AutoProcessor")
    pictures = processor.image_processor
    return ClipEmbedder(network, processor.tokenizer, pictures.image_mean, pictures.image_std)


def save_trained(net: PromptableNetwork, projection: TextProjection, clip: str | Path, folder: Path) -> Path:
    """Write a trained network as a folder that `load_detector` reads; returns the folder.

    Parameters
    ----------
    net : PromptableNetwork
        The network.
    projection : TextProjection
        The projection.
    clip : str or Path
        Where CLIP is: a folder, or a name in the Hub's cache.
    folder : Path
        Made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_sam(net, folder / _NETWORK)
    with replacing(folder / _PROJECTION) as partial:
        save_file({name: value.contiguous() for name, value in projection.state_dict().items()}, partial)
    path = Path(clip).expanduser()
    named = str(path.absolute()) if path.is_dir() else str(clip)
    write_json(folder / _CONFIG, {"model_type": KIND, "clip": named, "clip_width": projection.clip_width})
    return folder


def load_trained(folder: ModelFolder) -> TrainedTextDetector:
    """Load what `save_trained` has written.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or belongs to another CLIP model.
    """
    net = load_sam(folder.path / _NETWORK)
    clip = load_clip(str(folder.config.get("clip")))
    path = folder.path / _PROJECTION
    projection = TextProjection(clip.width, net.prompt_encoder.width)
    try:
        projection.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is no projection of this CLIP model ({str(error).splitlines()[0]})", remedy="train it again"
        ) from error
    return TrainedTextDetector(folder.name, net.eval(), projection.eval(), clip)


class TrainedTextDetector:
    """A network that takes phrases as prompts; a `TextDetector`.

    A phrase gives one mask of a picture; each of its connected areas is an object, with the predicted IoU as its score.

    Parameters
    ----------
    name : str
        Name of the model.
    net : PromptableNetwork
        The network, in evaluation mode.
    projection : TextProjection
        From CLIP's embeddings to tokens.
    clip : ClipEmbedder
        Embeds phrases.
    """

    threshold = 0.5

    def __init__(self, name: str, net: PromptableNetwork, projection: TextProjection, clip: ClipEmbedder) -> None:
        self.name, self.net, self.projection, self.clip = name, net, projection, clip
        self.side = int(net.img_size)

    @torch.inference_mode()
    def detect(self, rgb: NDArray[np.uint8], text: str) -> Detections:
        """Find objects; see `TextDetector.detect`."""
        scale = self.side / max(rgb.shape[:2])
        shape = (max(1, round(rgb.shape[0] * scale)), max(1, round(rgb.shape[1] * scale)))
        picture = np.array(Image.fromarray(rgb).resize(shape[::-1], Image.Resampling.BILINEAR))
        pixels: Any = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
        pixels = (pixels - self.net.pixel_mean) / self.net.pixel_std
        padded = F.pad(pixels, (0, self.side - shape[1], 0, self.side - shape[0]))
        embedding = self.net.encode_crop(padded, (0, 0))
        logits, predicted = decode_text(self.net, embedding, self.projection(self.clip.embed_text([text])))
        best = 1 + int(predicted[0, 1:].argmax())
        mask = F.interpolate(logits[:, best : best + 1], size=(self.side, self.side), mode="bilinear")[0, 0] > 0
        areas, count = ndimage.label(mask.numpy()[: shape[0], : shape[1]])
        sizes = np.bincount(areas.ravel(), minlength=count + 1)[1:]
        boxes = np.array([[r.start, c.start, r.stop, c.stop] for r, c in ndimage.find_objects(areas)], float)
        boxes = boxes.reshape(-1, 4)[sizes >= _LEAST_PX] / scale
        return Detections.of(boxes, np.full(len(boxes), float(predicted[0, best].clamp(0, 1))))
