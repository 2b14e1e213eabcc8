"""Size, position and unit of a TIFF's pixels, from the formats that define them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from napari_sam.io.geo.axis_placement import AxisPlacement, in_one_unit
from napari_sam.io.geo.units import normal_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tifffile import TiffFile, TiffPage

    Placements = dict[str, AxisPlacement]

_OME_CHUNK = 1 << 16
_MICROMETERS_PER_CM = 1e4
_CENTIMETER = 3  # unit of resolution


def axis_placements(tiff: TiffFile, page: TiffPage, image: int = 0) -> Placements:
    """Return the placement of every axis that the file describes.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The file.
    page : tifffile.TiffPage
        First page of level 0.
    image : int
        Number of the image among those that the file's OME-XML lists.

    Returns
    -------
    dict of str to AxisPlacement
        By axis; lengths are in the same unit as far as they can be compared.
    """
    found: Placements = {}
    if tiff.is_ome:
        found = ome_placements(tiff.ome_metadata or "", image)
    elif tiff.is_svs:
        found = _svs_placements(page.description or "")
    elif tiff.is_ndpi:
        found = _resolution(page, _MICROMETERS_PER_CM, "micrometer", "micrometer")
    elif (tiff.is_qpi or tiff.is_scn) and page.resolutionunit == _CENTIMETER:
        found = _resolution(page, _MICROMETERS_PER_CM, "micrometer", "micrometer")
    elif tiff.is_lsm:
        found = _lsm_placements(tiff.lsm_metadata or {})
    elif tiff.is_imagej:
        found = _imagej_placements(page, tiff.imagej_metadata or {})
    elif page.is_ome:  # opened as a plain TIFF, because the rest of its OME-XML cannot be used
        found = ome_placements(page.description or "", image)
    return in_one_unit(found)


def ome_placements(xml: str, image: int = 0) -> Placements:
    """Return the placements in the OME-XML of one image; empty if the XML is broken or has none.

    Parameters
    ----------
    xml : str
        OME-XML, which is only read up to the image.
    image : int
        Number of the image in it.
    """
    attributes = _pixels_attributes(xml, image)
    sizes = {axis: attributes.get(f"PhysicalSize{axis.upper()}") for axis in "zyx"}
    units = {axis: attributes.get(f"PhysicalSize{axis.upper()}Unit", "µm") for axis in "zyx"}
    sizes["t"], units["t"] = attributes.get("TimeIncrement"), attributes.get("TimeIncrementUnit", "s")
    placements = {axis: _placement(size, units[axis]) for axis, size in sizes.items() if size is not None}
    if ("x" in placements) != ("y" in placements):  # one of them says nothing about the other
        placements = {axis: p for axis, p in placements.items() if axis not in "yx"}
    return placements


def _pixels_attributes(xml: str, image: int) -> Mapping[str, str]:
    """Return the attributes of the `Pixels` element of an image; parses no more of the XML than needed."""
    parser: Any = ElementTree.XMLPullParser(["start"])
    count = -1
    try:
        for start in range(0, len(xml), _OME_CHUNK):
            parser.feed(xml[start : start + _OME_CHUNK].removeprefix("\ufeff"))
            for _, element in parser.read_events():
                if str(element.tag).rpartition("}")[2] == "Pixels":
                    count += 1
                    if count == image:
                        attributes: dict[str, str] = dict(element.attrib)
                        return attributes
    except (ElementTree.ParseError, ValueError):
        pass
    return {}


def _placement(size: str, unit: str) -> AxisPlacement:
    try:
        return AxisPlacement(float(size), 0.0, normal_unit(unit))
    except ValueError:
        return AxisPlacement(0.0)  # not valid


def _svs_placements(description: str) -> Placements:
    """Return the micrometres per pixel in the description of an Aperio slide."""
    match = re.search(r"MPP\s*=\s*([\d.]+)", description)
    return {} if match is None else dict.fromkeys("yx", _placement(match.group(1), "micrometer"))


def _lsm_placements(metadata: Mapping[str, Any]) -> Placements:
    """Return the size of a voxel of a Zeiss LSM file, which has it in metres."""
    sizes = {axis: float(metadata.get(f"VoxelSize{axis.upper()}", 0)) for axis in "zyx"}
    return {axis: AxisPlacement(size * 1e6, 0.0, "micrometer") for axis, size in sizes.items() if size > 0}


def _resolution(page: TiffPage, factor: float, y_unit: str | None, x_unit: str | None) -> Placements:
    """Return the pixel size of a page that stores pixels per unit."""
    x, y = page.resolution
    if not (x > 0 and y > 0):
        return {}
    return {"y": AxisPlacement(factor / y, 0.0, y_unit), "x": AxisPlacement(factor / x, 0.0, x_unit)}


def _imagej_placements(page: TiffPage, metadata: Mapping[str, Any]) -> Placements:
    """Return the pixel size, distance of planes and interval of frames of an ImageJ file."""
    written = str(metadata.get("unit", ""))
    if normal_unit(written) is None:  # not calibrated
        return {}
    units = {axis: normal_unit(str(metadata.get(f"{axis}unit", written))) for axis in "zy"}
    found = _resolution(page, 1.0, units["y"], normal_unit(written))
    if metadata.get("spacing"):
        found["z"] = AxisPlacement(abs(float(metadata["spacing"])), 0.0, units["z"])
    if metadata.get("finterval"):
        found["t"] = AxisPlacement(float(metadata["finterval"]), 0.0, normal_unit(str(metadata.get("tunit", "s"))))
    return found
