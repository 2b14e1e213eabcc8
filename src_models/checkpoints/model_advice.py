"""Which models may be better than the default one, by kind of image, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelAdvice:
    """Models for one kind of image.

    Attributes
    ----------
    images : str
        The kind of image.
    data_set : str or None
        Data set in the model card by which the default model was measured on such images; None where it was not.
    click, box : float or None
        Mean IoU of the default model there from one click and from a box, as the model card states it.
    models : tuple of str
        Registered models to try, the smallest first; none of them was measured by us.
    reason : str
        What they promise, by what their publishers trained them on.
    """

    images: str
    data_set: str | None
    click: float | None
    box: float | None
    models: tuple[str, ...]
    reason: str


_LIGHT = "trained on cells and nuclei in light microscopy; finds all objects in one pass"
_GENERAL = "trained on photographs of all kinds"

ADVICE = (
    ModelAdvice("nuclei and cells in fluorescence", "dsb2018", 0.779, 0.864, ("vit_t_lm", "vit_b_lm"), _LIGHT),
    ModelAdvice("cells in phase contrast", "usiigaci_t98g", 0.627, 0.726, ("vit_b_lm",), _LIGHT),
    ModelAdvice("H&E slides", "gbm_he", 0.679, 0.798, ("vit_b_histopathology",), "trained on nuclei in histopathology"),
    ModelAdvice(
        "axons in electron microscopy", "axon_tem_srf", 0.868, 0.896, (), "the default model is trained on them"
    ),
    ModelAdvice(
        "mitochondria and nuclei in electron microscopy",
        None,
        None,
        None,
        ("vit_t_em_organelles", "vit_b_em_organelles"),
        "trained on mitochondria and nuclei in electron microscopy",
    ),
    ModelAdvice("fields", "agoro_fields", 0.664, 0.848, ("vit_b",), _GENERAL),
    ModelAdvice("buildings", "buildings", 0.590, 0.687, ("vit_b",), _GENERAL),
    ModelAdvice("photographs", "coco128", 0.416, 0.623, ("sam2.1_small", "vit_b"), _GENERAL + "; SAM 2 also on films"),
    ModelAdvice("objects through stacks and films", None, None, None, ("sam2.1_tiny",), "follows objects by a memory"),
)
