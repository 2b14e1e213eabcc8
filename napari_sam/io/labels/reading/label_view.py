"""A label store as a picture, as HTML for notebooks, and as a plot."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.engine.geometry import Box
from napari_sam.engine.showing.html import as_html
from napari_sam.engine.showing.pictures import PICTURE_PX, PLOT_PX, picture_of, sample_positions, with_labels
from napari_sam.engine.showing.plotting import plot_picture
from napari_sam.engine.windows import Window
from napari_sam.errors import LabelsError, NapariSamError
from napari_sam.io.geo.crs import crs_name
from napari_sam.io.images.image_html import PICTURE_EXACT_PX, pixel_size_text
from napari_sam.io.images.open_image import completed, open_image
from napari_sam.io.labels.reading.own_plane import open_own_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.reading.store_view import StoreView

_MOST_READ_PX = 4096  # along each axis of a level; of a larger level, which has no coarser one, a part is shown
_MOST_CLASSES = 12


def store_html(store: StoreView, title: str, facts: dict[str, object] | None = None) -> str:
    """Return a store as HTML: its objects over the image, if that is on this machine, and its figures.

    Parameters
    ----------
    store : StoreView
        An open store.
    title : str
        Heading.
    facts : dict, optional
        Shown before the facts about the store.
    """
    shown: dict[str, object] = dict(facts or {})
    names = [row.name for row in store.journal.classes.all()]
    more = f" and {len(names) - _MOST_CLASSES} more" if len(names) > _MOST_CLASSES else ""
    shown |= {
        "objects in the store": len(store),
        "size": f"{' x '.join(map(str, store.shape))} px ({store.meta('axes')})",
        "pixel size": pixel_size_text(store.scale, store.meta("unit")),
        "CRS": store.meta("crs") and crs_name(str(store.meta("crs"))),
        "classes": ", ".join(names[:_MOST_CLASSES]) + more,
        "folder": store.path,
    }
    try:
        view = LabelView(store)
        picture = view.picture(PICTURE_PX)
    except NapariSamError as error:
        return as_html(title, shown | {"picture": f"cannot be shown: {error}"})
    return as_html(title, shown | view.note(), picture)


def closed_html(path: Path) -> str:
    """Return a closed store as HTML."""
    return as_html("Label store", {"state": "closed", "folder": path})


class LabelView:
    """A part of a plane of a label store, over the image.

    Parameters
    ----------
    store : StoreView
        An open store.
    region : (int, int, int, int), optional
        Part (y0, x0, y1, x1), level-0 pixels; the whole plane by default.
    plane : tuple of int, optional
        Index along the leading axes; the plane in the middle by default.
    image : optional
        Whatever `open_image` accepts; by default the image that the store names, if it is a file on this machine.

    Raises
    ------
    LabelsError
        If the region lies outside the store, or the image has another shape.
    """

    def __init__(
        self,
        store: StoreView,
        region: tuple[int, int, int, int] | None = None,
        plane: tuple[int, ...] | None = None,
        image: Any = None,
    ) -> None:
        self._store = store
        self.plane = tuple(n // 2 for n in store.shape[:-2]) if plane is None else tuple(int(i) for i in plane)
        height, width = store.shape[-2:]
        self.whole = Box(0, 0, height, width)
        self.region = self.whole if region is None else Box(*map(int, region)).clip((height, width))
        if self.region.is_empty:
            raise LabelsError(
                f"region {region} lies outside the labels of {height} x {width} pixels",
                parameter="region",
                remedy="give (y0, x0, y1, x1) in pixels of level 0",
            )
        self._image = _image_of(store, self.plane) if image is None else _checked(open_image(image), store)
        self._limit()

    def picture(self, side: int) -> NDArray[Any]:
        """Return the objects in colours, (h, w, 3) uint8, with `side` pixels along the longer side."""
        level, box = self._source(side)
        labels = self._store.read(box, level, self.plane)
        rows, cols = sample_positions((0, 0, *labels.shape), Window(self.region, side).network_shape)
        under = None if self._image is None else picture_of(self._image, self.region, side)
        return with_labels(under, labels[rows[:, None], cols])

    def note(self) -> dict[str, object]:
        """Return what is shown, where that is not the whole store."""
        note: dict[str, object] = {}
        if self.plane:
            note["plane shown"] = self.plane
        if self.region != self.whole:
            note["part shown"] = tuple(self.region)
        return note

    def plot(self, ax: Axes | None) -> Axes:
        """Draw the objects with matplotlib, and return the axes."""
        side = max(PICTURE_PX, min(PLOT_PX, max(self.region.shape)))
        plane = f", plane {self.plane}" if self.plane else ""
        return plot_picture(ax, self.picture(side), self.region, f"{self._store.path.name}{plane}")

    def _source(self, side: int) -> tuple[int, Box]:
        """Return the coarsest level that has enough pixels for a picture, and the region in its pixels."""
        shapes = [(level.shape[-2], level.shape[-1]) for level in self._store.levels]
        enough = [
            k
            for k, shape in enumerate(shapes)
            if max(self.region.shape) * max(shape) >= side * max(self.whole.shape) or k == 0
        ]
        level = enough[-1]
        fy, fx = (n / m for n, m in zip(shapes[level], self.whole.shape, strict=True))
        y0, x0, y1, x1 = self.region
        top, left = int(y0 * fy), int(x0 * fx)
        return level, Box(top, left, max(top + 1, round(y1 * fy)), max(left + 1, round(x1 * fx))).clip(shapes[level])

    def _limit(self) -> None:
        """Keep the middle of a region whose coarsest level has too many pixels to read."""
        height, width = self._store.levels[-1].shape[-2:]
        most = (_MOST_READ_PX * self.whole.height // height, _MOST_READ_PX * self.whole.width // width)
        y0, x0, y1, x1 = self.region
        if y1 - y0 > most[0]:
            y0 += (y1 - y0 - most[0]) // 2
            y1 = y0 + most[0]
        if x1 - x0 > most[1]:
            x0 += (x1 - x0 - most[1]) // 2
            x1 = x0 + most[1]
        self.region = Box(y0, x0, y1, x1)


def _image_of(store: StoreView, plane: tuple[int, ...]) -> Image | None:
    """Return the plane of the image that a store names; None unless it is a file on this machine."""
    named = store.meta("image")
    uri = named.get("uri") if isinstance(named, dict) else None
    if not uri or "://" in uri or not Path(uri.split("#")[0]).exists():
        return None
    with suppress(NapariSamError):
        image = _checked(open_own_image(uri, store.meta), store)
        if plane and len(plane) == len(image.plane):
            image = completed(image.with_plane(plane, image.selected))
        return replace(image, exact_px=PICTURE_EXACT_PX)
    return None


def _checked(image: Image, store: StoreView) -> Image:
    """Return an image, if the labels fit it."""
    if image.shape != store.shape[-2:]:
        raise LabelsError(
            f"image is of {image.shape[0]} x {image.shape[1]} pixels, and the labels of {store.shape[-2]} x "
            f"{store.shape[-1]}",
            parameter="image",
            remedy="give the image that the labels belong to",
        )
    return image
