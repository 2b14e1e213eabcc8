"""Open napari with the SAM dock from Python."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ImageError, LabelsError, NapariSamError
from napari_sam.io.labels.label_store import LabelStore
from src_models.checkpoints.model_choice import checked_model

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

    from napari_sam.widgets.dock import SamDock

_PLUGIN, _DOCK = "napari-sam-xl", "SAM"


def launch(
    image: Any = None,
    model: str | Path | None = None,
    labels: Any = None,
    *,
    viewer: napari.Viewer | None = None,
) -> tuple[napari.Viewer, SamDock]:
    """Open napari with an image and the SAM dock.

    In Jupyter and IPython the window responds at once; a script shows it with ``napari.run()``.

    Parameters
    ----------
    image : optional
        A path or URL, an opened image (`open_image`), an array of any number of axes, a list of scale levels, or a
        napari layer. Without one, the window is empty or shows what `viewer` does.
    model : str or Path, optional
        Name of a model or path of a checkpoint; by default the model that was used in the last session.
    labels : LabelStore, path or array_like of int, optional
        Where accepted objects are written. A path is opened, or a store is made there. An open `LabelStore` is shown
        and written from both sides; closing the dock closes it. An array becomes a labels layer. By default the label
        store that belongs to the image.
    viewer : napari.Viewer, optional
        An open viewer to use.

    Returns
    -------
    viewer : napari.Viewer
        The viewer.
    dock : SamDock
        The dock in it, which is the one that is open already, if there is one.

    Raises
    ------
    NapariSamError
        If napari or a Qt binding is not installed, or there is no display.
    ImageError, UnknownModelError, StoreError, LabelsError
        If the image, the model or the labels cannot be opened, or the labels do not fit the image.

    Examples
    --------
    >>> import napari_sam as ns
    >>> viewer, dock = ns.launch("slide.ome.zarr", labels="cells.ome.zarr")  # doctest: +SKIP
    """
    chosen = None if model is None else checked_model(model)
    napari = _import_napari()
    added = _layers_of(image)
    shown = viewer or napari.Viewer()
    from napari_sam.widgets.jupyter_loop import keep_kernel_answering  # noqa: PLC0415 - needs Qt

    keep_kernel_answering()
    _, dock = shown.window.add_plugin_dock_widget(_PLUGIN, _DOCK)
    if chosen is not None:
        dock.use_model(chosen)
    dock.images.follow_now()  # images that were opened before
    for layer in added:
        shown.add_layer(layer)
    dock.images.follow_now()  # or the labels would be those of the image that the viewer has shown so far
    if labels is not None:
        _write_to(shown, dock, labels)
    return shown, dock


def has_display() -> bool:
    """Return whether a window can be shown on this machine."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform in ("win32", "darwin"))


def _import_napari() -> Any:
    """Return the module napari, once it is sure that it can open a window."""
    if not has_display() and not os.environ.get("QT_QPA_PLATFORM"):  # Qt would end the process
        raise NapariSamError(
            "there is no display to open a window on",
            remedy="run on a desktop, over a remote desktop or under xvfb-run, or use Predictor without a window",
        )
    try:
        import napari  # noqa: PLC0415 - an extra, and slow to import
        from qtpy import QtWidgets  # noqa: F401, PLC0415 - napari itself comes without a binding
    except ImportError as error:
        raise NapariSamError(
            f"the window needs napari and a Qt binding ({error})", remedy="run: pip install 'napari-sam-xl[pyqt6]'"
        ) from error
    return napari


def _layers_of(image: Any) -> list[Layer]:
    """Return the layers of an image; they are not in a viewer yet."""
    from napari.layers import Image as ImageLayer  # noqa: PLC0415 - slow to import
    from napari.layers import Layer  # noqa: PLC0415

    from napari_sam.io.images.lazy_image import Image  # noqa: PLC0415
    from napari_sam.layers.readers import layers_of_image, read_layers  # noqa: PLC0415

    if image is None:
        return []
    if isinstance(image, Layer):
        return [image]
    if isinstance(image, str | Path):
        return [Layer.create(*entry) for entry in read_layers(str(Path(image) if isinstance(image, Path) else image))]
    if isinstance(image, Image):
        return [Layer.create(*entry) for entry in layers_of_image(image)]
    if not hasattr(image[0] if isinstance(image, list | tuple) and image else image, "ndim"):
        raise ImageError(
            f"cannot open {type(image).__name__}", parameter="image", remedy="give a path, an array or an opened image"
        )
    return [ImageLayer(image, name="image")]


def _write_to(viewer: napari.Viewer, dock: SamDock, labels: Any) -> None:
    """Write accepted objects to a store or a new labels layer from now on."""
    from napari_sam.layers.placement import image_plane_shape, placement  # noqa: PLC0415 - slow to import

    image = dock.images.layer
    if image is None:
        raise LabelsError("labels need an image", parameter="labels", remedy="give {image} as well")
    if isinstance(labels, LabelStore):
        temporary = Path(tempfile.gettempdir()).resolve() in labels.path.resolve().parents
        dock.labels.use_store(labels, lasting=not temporary)
    elif isinstance(labels, str | Path):
        dock.labels.use_store(Path(labels).expanduser().absolute())
    else:
        shape, expected = tuple(getattr(labels, "shape", ())), image_plane_shape(image)
        if shape != expected:
            raise LabelsError(
                f"labels of shape {shape} do not fit the image {expected}",
                parameter="labels",
                remedy="give an array of whole numbers of the image's shape",
            )
        dock.labels.use_layer(viewer.add_labels(labels, name="labels", **placement(image)))
