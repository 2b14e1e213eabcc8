"""TIFF in all its kinds: pyramids, slides, places on the ground, palettes, bands, stacks."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam import open_image
from napari_sam.errors import ImageError
from napari_sam.io.images.formats.tiff.tiff_level import TiffLevel

POINT = (34735, "H", 12, (1, 1, 0, 2, 1025, 0, 1, 2, 3072, 0, 1, 32632), True)
AREA = (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32632), True)
TILES = {"tile": (64, 64), "compression": "zlib"}


def _levels(rng, sizes=(256, 128, 64)):
    return [rng.integers(0, 60_000, (s, s * 5 // 4), dtype=np.uint16) for s in sizes]


def _same(image, levels):
    assert image.levels == [level.shape[:2] for level in levels]
    for i, level in enumerate(levels):
        found = image.read(i, 3, 5, 60, 64)
        np.testing.assert_array_equal(found, (level if level.ndim == 3 else level[..., None])[3:60, 5:64])


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("ome", [False, True])
def test_pyramids_in_subifds(tmp_path, rng, bigtiff, ome):
    path, levels = tmp_path / ("p.ome.tif" if ome else "p.tif"), _levels(rng)
    with tifffile.TiffWriter(path, bigtiff=bigtiff, ome=ome) as writer:
        writer.write(levels[0], subifds=2, **TILES)
        for level in levels[1:]:
            writer.write(level, subfiletype=1, **TILES)
    _same(open_image(path), levels)


def test_pyramids_in_pages(tmp_path, rng):
    levels = _levels(rng)
    with tifffile.TiffWriter(tmp_path / "p.tif") as writer:
        writer.write(levels[0], metadata=None, **TILES)
        for level in levels[1:]:
            writer.write(level, metadata=None, subfiletype=1, **TILES)
    _same(open_image(tmp_path / "p.tif"), levels)


def test_a_whole_slide_as_aperio_writes_it(tmp_path, rng):
    levels = [rng.integers(0, 255, (s, s, 3), dtype=np.uint8) for s in (1024, 256, 64)]
    text = "Aperio Image Library v11\r\n1024x1024 (256x256) |AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(tmp_path / "s.svs") as writer:
        for i, level in enumerate((levels[0], levels[2], *levels[1:])):  # the second page is the thumbnail
            options = {"rowsperstrip": 16} if i == 1 else {"tile": (256, 256)}
            writer.write(level, photometric="rgb", description=text, metadata=None, compression="zlib", **options)
    image = open_image(tmp_path / "s.svs")
    assert image.levels[:2] == [(1024, 1024), (256, 256)]
    assert (image.scale, image.unit) == ((0.499, 0.499), "micrometer")
    np.testing.assert_array_equal(image.read(1, 10, 20, 200, 220), levels[1][10:200, 20:220])


def test_a_cloud_optimised_geotiff_has_map_position_and_levels(tmp_path, rng):
    levels = [rng.integers(0, 255, (s, s, 3), dtype=np.uint8) for s in (256, 128)]
    tags = [(33550, "d", 3, (10.0, 20.0, 0), True), (33922, "d", 6, (2, 1, 0, 500.0, 900.0, 0), True), AREA]
    with tifffile.TiffWriter(tmp_path / "g.tif") as writer:
        writer.write(levels[0], photometric="rgb", extratags=tags, metadata=None, **TILES)
        writer.write(levels[1], photometric="rgb", metadata=None, subfiletype=1, **TILES)
    image = open_image(tmp_path / "g.tif")
    _same(image, levels)
    assert image.crs == "EPSG:32632"
    assert image.transform == (10.0, 0.0, 480.0, 0.0, -20.0, 920.0)
    assert image.scale == (20.0, 10.0)


def test_a_rotated_geotiff_keeps_its_affine(tmp_path):
    matrix = (8.0, 6.0, 0, 100.0, 6.0, -8.0, 0, 200.0, 0, 0, 0, 0, 0, 0, 0, 1)
    tags = [(34264, "d", 16, matrix, True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.uint8), extratags=[*tags, AREA])
    tifffile.imwrite(tmp_path / "p.tif", np.zeros((9, 9), np.uint8), extratags=[*tags, POINT])
    area, point = open_image(tmp_path / "a.tif"), open_image(tmp_path / "p.tif")
    assert area.transform == (8.0, 6.0, 100.0, 6.0, -8.0, 200.0)
    assert point.transform == (8.0, 6.0, 93.0, 6.0, -8.0, 201.0)  # half a pixel along both
    assert area.scale == (10.0, 10.0)


def test_an_unknown_crs_keeps_the_name_in_the_file(tmp_path):
    words = "Mars 2000 sphere|"
    keys = (1, 1, 0, 2, 1026, 34737, len(words), 0, 3072, 0, 1, 32767)
    tags = [(34735, "H", 12, keys, True), (34737, "s", 0, words, True)]
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((9, 9), np.uint8), extratags=tags)
    image = open_image(tmp_path / "m.tif")
    assert "Mars 2000 sphere" in image.crs
    assert image.transform is None


def test_invalid_geo_keys_do_not_prevent_reading(tmp_path):
    tags = [(34735, "H", 8, (9, 9, 9, 999, 7, 7, 7, 7), True), (33922, "d", 4, (1, 2, 3, 4), True)]
    tifffile.imwrite(tmp_path / "k.tif", np.ones((9, 9), np.uint8), extratags=tags)
    image = open_image(tmp_path / "k.tif")
    assert (image.crs, image.transform, image.read(0, 0, 0, 9, 9).min()) == (None, None, 1)


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("options", [TILES, {}, {"rowsperstrip": 5, "compression": "lzw"}])
def test_any_three_of_thirteen_bands_can_be_read(tmp_path, rng, planarconfig, options):
    bands = rng.integers(0, 9999, (90, 100, 13), dtype=np.uint16)
    stored = bands if planarconfig == "contig" else np.moveaxis(bands, -1, 0)
    tifffile.imwrite(
        tmp_path / "b.tif", stored, photometric="minisblack", planarconfig=planarconfig, metadata=None, **options
    )
    image = open_image(tmp_path / "b.tif", channels=(11, 3, 7))
    assert isinstance(image.arrays[0], TiffLevel)
    np.testing.assert_array_equal(image.read(0, 5, 6, 80, 90, 2), bands[5:80:2, 6:90:2, [11, 3, 7]])


def test_a_palette_gives_its_colours(tmp_path, rng):
    indices, colours = rng.integers(0, 4, (40, 50), dtype=np.uint8), np.zeros((3, 256), np.uint16)
    colours[:, :4] = [[0, 65535, 0, 0], [0, 0, 65535, 0], [0, 0, 0, 65535]]
    tifffile.imwrite(tmp_path / "p.tif", indices, photometric="palette", colormap=colours)
    found = open_image(tmp_path / "p.tif").read(0, 0, 0, 40, 50)
    np.testing.assert_array_equal(found, np.eye(4, 3, -1, dtype=np.uint8)[indices] * 255)


def test_an_imagej_stack_and_its_pixel_size(tmp_path, rng):
    stack = rng.integers(0, 60_000, (4, 3, 60, 70), dtype=np.uint16)
    meta = {"axes": "ZCYX", "unit": "um"}
    tifffile.imwrite(tmp_path / "j.tif", stack, imagej=True, resolution=(4.0, 2.0), metadata=meta)
    image = open_image(tmp_path / "j.tif")
    assert (image.scale, image.unit, image.array_axes) == ((0.5, 0.25), "micrometer", "zcyx")
    deep = image.with_plane((2,), (1,))
    np.testing.assert_array_equal(deep.read(0, 7, 8, 50, 60)[..., 0], stack[2, 1, 7:50, 8:60])


def test_ome_tiff_has_a_pixel_size(tmp_path):
    meta = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(tmp_path / "o.ome.tif", np.zeros((9, 9), np.uint8), metadata=meta)
    image = open_image(tmp_path / "o.ome.tif")
    assert (image.scale, image.unit) == ((0.5, 0.25), "micrometer")


def test_an_ome_tiff_over_several_files(tmp_path, rng):
    stack = rng.integers(0, 255, (2, 60, 70), dtype=np.uint8)
    plane = '<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="f{z}.ome.tif">urn:uuid:{z}</UUID></TiffData>'
    planes = "".join(plane.format(z=z) for z in (0, 1))
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{z}"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="70" SizeY="60" SizeZ="2" SizeC="1" '
        f'SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )
    for z in (0, 1):
        tifffile.imwrite(tmp_path / f"f{z}.ome.tif", stack[z], description=text.replace("{z}", str(z)), metadata=None)
    image = open_image(tmp_path / "f0.ome.tif")
    assert image.array_axes == "zyx"
    for z in (0, 1):
        np.testing.assert_array_equal(image.with_plane((z,), (0,)).read(0, 1, 2, 50, 60)[..., 0], stack[z, 1:50, 2:60])


def test_tiles_that_were_never_written_are_empty(tmp_path, rng):
    picture = rng.integers(1, 255, (256, 256), dtype=np.uint8)
    picture[64:128, 64:128] = 0

    def tiles():
        for y in range(0, 256, 64):
            for x in range(0, 256, 64):
                part = picture[y : y + 64, x : x + 64]
                yield part if part.any() else None

    tifffile.imwrite(tmp_path / "e.tif", tiles(), shape=(256, 256), dtype=np.uint8, tile=(64, 64), compression="zlib")
    np.testing.assert_array_equal(open_image(tmp_path / "e.tif").read(0, 0, 0, 256, 256)[..., 0], picture)


def test_slow_sources_have_an_advice_with_the_remedy(tmp_path, rng):
    picture = rng.integers(0, 255, (5000, 5000), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "strip.tif", picture, rowsperstrip=5000, compression="zlib")
    tifffile.imwrite(tmp_path / "j2k.tif", picture[:128, :128], tile=(64, 64), compression="jpeg2000")
    tifffile.imwrite(tmp_path / "good.tif", picture, tile=(256, 256), compression="zlib")
    strip = open_image(tmp_path / "strip.tif")
    assert "decodes 25 Mpx, a strip of 5000 x 5000; run once: napari-sam transcode" in strip.advice
    assert str(tmp_path / "j2k.tif") in open_image(tmp_path / "j2k.tif").advice
    assert open_image(tmp_path / "good.tif").advice is None
    np.testing.assert_array_equal(strip.read(0, 4000, 9, 4009, 50)[..., 0], picture[4000:4009, 9:50])


def test_a_large_strip_is_decoded_once_for_many_reads(tmp_path, rng, monkeypatch):
    tifffile.imwrite(
        tmp_path / "s.tif", rng.integers(0, 9, (900, 900), dtype=np.uint8), rowsperstrip=900, compression="zlib"
    )
    image, decode, count = open_image(tmp_path / "s.tif"), TiffLevel._decode, []
    monkeypatch.setattr(TiffLevel, "_decode", lambda self, *a: count.append(1) or decode(self, *a))
    for y in range(0, 900, 100):
        image.read(0, y, 0, y + 100, 100)
    assert len(count) == 1


def test_a_volume_in_one_page_is_read_through_tifffile(tmp_path, rng):
    stack = rng.integers(0, 255, (32, 64, 64), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "v.tif", stack, tile=(16, 32, 32), volumetric=True, photometric="minisblack")
    image = open_image(tmp_path / "v.tif")
    np.testing.assert_array_equal(image.with_plane((5,), (0,)).read(0, 0, 0, 64, 64)[..., 0], stack[5])


def test_a_folder_without_an_image_is_named(tmp_path):
    (tmp_path / "x.tif").mkdir()
    with pytest.raises(ImageError, match=r"x\.tif"):
        open_image(tmp_path / "x.tif")


@pytest.mark.parametrize("compression", [None, "zlib", "zstd", "lzw", "packbits"])
def test_a_last_strip_declared_as_long_as_the_others_is_read(tmp_path, compression):
    picture = (np.arange(421 * 547) % 997).astype(np.float32).reshape(421, 547)
    tifffile.imwrite(tmp_path / "a.tif", picture, rowsperstrip=3, metadata=None, compression=compression)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        sizes = tiff.pages[0].tags[279]
        sizes.overwrite([*sizes.value[:-1], 6564 if compression is None else sizes.value[-1] + 999])
    assert (open_image(tmp_path / "a.tif").read(0, 0, 0, 421, 547)[..., 0] == picture).all()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg", "packbits", "zstd"])
def test_a_truncated_file_is_not_read_in_part(tmp_path, rng, compression):
    picture = rng.integers(0, 255, (421, 547)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture, rowsperstrip=50, metadata=None, compression=compression)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[:-3000])
    with pytest.raises(ImageError):
        open_image(tmp_path / "a.tif").read(0, 0, 0, 421, 547)


def test_pages_that_are_not_contiguous_like_the_first_are_read(tmp_path, rng):
    stack = rng.integers(0, 255, (2, 64, 64)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in stack:
            writer.write(page, rowsperstrip=32, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        offsets = tiff.pages[1].tags[273]
        first, second = offsets.value
        offsets.overwrite([second, first])
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[first : first + 2048], data[second : second + 2048] = stack[1, 32:].tobytes(), stack[1, :32].tobytes()
    (tmp_path / "a.tif").write_bytes(bytes(data))
    image = open_image(tmp_path / "a.tif").with_plane((1,), (0,))
    assert (image.read(0, 0, 0, 64, 64)[..., 0] == stack[1]).all()
