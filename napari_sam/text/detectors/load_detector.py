"""Load open-vocabulary models by what their folder holds."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ModelError
from napari_sam.text.detectors.transformers_files import find_model_folder, load_part

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.text.detectors.box_models import TransformersDetector
    from napari_sam.text.detectors.clip_ranker import ClipRanker
    from napari_sam.text.detectors.trained_text import TrainedTextDetector
    from napari_sam.text.detectors.transformers_files import ModelFolder

_NETWORKS = {  # by config.json's model_type: module and class of transformers, class here
    "owlv2": ("models.owlv2.modeling_owlv2", "Owlv2ForObjectDetection", "Owlv2Detector"),
    "grounding-dino": (
        "models.grounding_dino.modeling_grounding_dino",
        "GroundingDinoForObjectDetection",
        "GroundingDinoDetector",
    ),
    "clipseg": ("models.clipseg.modeling_clipseg", "CLIPSegForImageSegmentation", "ClipSegDetector"),
    "sam3": ("models.sam3.modeling_sam3", "Sam3Model", "Sam3Detector"),
}
TRAINED = "napari-sam-text"
"""The model_type of what ``napari-sam train text`` writes."""
SUPPORTED = "OWLv2, Grounding DINO, CLIPSeg, SAM 3"


@lru_cache(maxsize=2)
def load_detector(source: str | Path, device: str = "cpu") -> TransformersDetector | TrainedTextDetector:
    """Load an open-vocabulary detector; the last two stay in memory.

    Parameters
    ----------
    source : str or Path
        Folder of ``napari-sam train text`` or of a model of the library transformers, or the name of one in the Hub's
        cache, such as "google/owlv2-base-patch16-ensemble". Nothing is downloaded.
    device : str
        "cpu", "cuda" or "mps".

    Raises
    ------
    CheckpointError
        If files are missing or damaged.
    ModelError
        If transformers is missing, or the model is of another kind.
    """
    folder = find_model_folder(source)
    if folder.kind == TRAINED:
        from napari_sam.text.detectors.trained_text import load_trained  # noqa: PLC0415 - loads torch

        return load_trained(folder)
    if folder.kind not in _NETWORKS:
        raise ModelError(
            f"{source}: its model_type is {folder.kind!r}", parameter="detector", remedy=f"give one of {SUPPORTED}"
        )
    from napari_sam.text.detectors import box_models  # noqa: PLC0415 - loads torch

    module, name, wrapper = _NETWORKS[folder.kind]
    processor = _processor(folder)
    network = load_part(folder, module, name, use_safetensors=True).eval().to(device)
    kind: type[TransformersDetector] = getattr(box_models, wrapper)
    return kind(folder.name, network, processor, device)


def _processor(folder: ModelFolder) -> Any:
    """Load what makes the inputs: of SAM 3 only the tokenizer, since its image processor needs torchvision."""
    if folder.kind == "sam3":
        return load_part(folder, "models.auto.tokenization_auto", "AutoTokenizer")
    return load_part(folder, "models.auto.processing_auto", "AutoProcessor")


@lru_cache(maxsize=1)
def load_ranker(source: str | Path, device: str = "cpu") -> ClipRanker:
    """Load a CLIP model that ranks masks; parameters and errors as in `load_detector`."""
    folder = find_model_folder(source)
    if folder.kind != "clip":
        raise ModelError(f"{source}: its model_type is {folder.kind!r}", parameter="ranker", remedy="give a CLIP model")
    from napari_sam.text.detectors.clip_ranker import ClipRanker  # noqa: PLC0415 - loads torch

    processor = load_part(folder, "models.auto.processing_auto", "AutoProcessor")
    network = load_part(folder, "models.clip.modeling_clip", "CLIPModel", use_safetensors=True)
    return ClipRanker(folder.name, network.eval().to(device), processor, device)
