"""Readers: what we claim, how it looks in napari, and that SAM finds the file behind a layer."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel

from napari_sam import LabelStore, open_image
from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.errors import ImageError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.io.images.transcode import transcode
from napari_sam.layers.image_notes import image_notes
from napari_sam.layers.readers import ShownLevel, get_reader, read_layers


@pytest.fixture
def slide(tmp_path, rng):
    """A colour slide with levels, as path and pixels."""
    picture = rng.integers(0, 255, (1200, 1500, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "slide.tif") as writer:
        writer.write(picture, subifds=1, photometric="rgb", tile=(256, 256), compression="zlib")
        writer.write(picture[::2, ::2], subfiletype=1, photometric="rgb", tile=(256, 256), compression="zlib")
    return str(tmp_path / "slide.tif"), picture


def _added(path):
    viewer = ViewerModel()
    return [viewer.add_image(data, **keywords) for data, keywords, _ in get_reader(path)(path)]


def test_whatever_the_reader_claims_it_reads(tmp_path, slide, viewer):
    small = np.arange(900, dtype=np.uint16).reshape(30, 30)
    tifffile.imwrite(tmp_path / "small.TIF", small)
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([small] * 5), photometric="minisblack")
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "folder").mkdir()
    zarr.save_array(str(tmp_path / "a.zarr"), small)
    claimed = [slide[0], *(str(tmp_path / n) for n in ("small.TIF", "stack.tif", "a.zarr"))]
    for path in claimed:
        ((data, keywords, kind),) = get_reader(path)(path)
        assert viewer._add_layer_from_data(data, keywords, kind)
    assert np.array_equal(np.asarray(viewer.layers["small"].data), small)
    assert viewer.layers["stack"].data.shape == (5, 30, 30)
    assert not any(get_reader(str(tmp_path / n)) for n in ("text.tif", "folder", "missing.tif", "a.png"))


def test_a_layer_can_be_duplicated_and_converted(slide, viewer):
    from napari.layers._layer_actions import _convert_to_labels, _duplicate_layer

    path, picture = slide
    (layer,) = _added(path)
    viewer.add_layer(layer)
    viewer.layers.selection = {layer}
    _duplicate_layer(viewer.layers)
    assert image_from_layer(viewer.layers[1]).identity == image_from_layer(layer).identity
    np.testing.assert_array_equal(layer.data[1].astype(float), picture[::2, ::2])
    tifffile.imwrite(path.replace("slide", "small"), picture[..., 0])
    (small,) = _added(path.replace("slide", "small"))
    viewer.layers[:] = [small]
    viewer.layers.selection = {small}
    small.projection_mode = "none"  # which labels have, too
    _convert_to_labels(viewer.layers)
    np.testing.assert_array_equal(viewer.layers[-1].data, picture[..., 0])


def test_label_images_become_labels_that_are_never_averaged(tmp_path, viewer):
    pixels = np.zeros((40, 50), np.uint32)
    pixels[::2] = 1000
    with LabelStore.create(tmp_path / "l.ome.zarr", shape=(40, 50)) as store:
        store.paint(pixels, (0, 0))
    ((data, keywords, kind),) = get_reader(str(tmp_path / "l.ome.zarr"))(str(tmp_path / "l.ome.zarr"))
    assert kind == "labels"
    (layer,) = viewer._add_layer_from_data(data, keywords, kind)
    levels = layer.data if layer.multiscale else [layer.data]
    assert set(np.unique(np.concatenate([np.asarray(x).ravel() for x in levels]))) <= {0, 1000}


def test_a_group_of_arrays_gives_a_layer_for_each(tmp_path):
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    for name, shape in (("a", (30, 40)), ("b", (20, 20)), ("line", (7,))):
        group.create_array(name, shape=shape, dtype="uint8")
    layers = get_reader(str(tmp_path / "g.zarr"))(str(tmp_path / "g.zarr"))
    assert [keywords["name"] for _, keywords, _ in layers] == ["a", "b"]


def test_images_of_one_size_are_read_as_a_stack(tmp_path, rng, viewer):
    pixels = rng.integers(0, 255, (3, 30, 40), dtype=np.uint8)
    for number, plane in enumerate(pixels):
        tifffile.imwrite(tmp_path / f"{number}.tif", plane)
    paths = [str(tmp_path / f"{number}.tif") for number in range(3)]
    ((data, keywords, kind),) = get_reader(paths)(paths)
    (layer,) = viewer._add_layer_from_data(data, keywords, kind)
    np.testing.assert_array_equal(np.asarray(layer.data), pixels)
    np.testing.assert_array_equal(image_from_layer(layer, (2,)).read(0, 3, 4, 9, 9)[..., 0], pixels[2, 3:9, 4:9])
    tifffile.imwrite(tmp_path / "2.tif", pixels[0, :9])
    with pytest.raises(ImageError, match=r"2\.tif: \(9, 40\)"):
        get_reader(paths)(paths)


def test_a_stack_is_read_by_the_workers_of_a_dask_client(tmp_path, rng):
    distributed = pytest.importorskip("distributed")
    pixels = rng.integers(0, 255, (2, 30, 40), dtype=np.uint8)
    for number, plane in enumerate(pixels):
        tifffile.imwrite(tmp_path / f"{number}.tif", plane)
    paths = [str(tmp_path / f"{number}.tif") for number in range(2)]
    ((data, _, _),) = get_reader(paths)(paths)
    level = data[0] if isinstance(data, list) else data
    made = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50)
    with made, distributed.Client(made):
        np.testing.assert_array_equal(np.asarray(level), pixels)


def test_a_folder_of_images_is_read(tmp_path, rng):
    (tmp_path / "notes.txt").write_text("no image")
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (30, 40), dtype=np.uint8))
    zarr.save_array(str(tmp_path / "b.zarr"), np.zeros((20, 20), np.uint8))
    layers = get_reader(str(tmp_path))(str(tmp_path))
    assert [keywords["name"] for _, keywords, _ in layers] == ["a", "b"]


def test_a_damaged_tiff_is_refused_with_the_reason(tmp_path):
    (tmp_path / "cut.tif").write_bytes(b"II*\0\x08\0")
    with pytest.raises(ImageError, match=r"cut\.tif"):
        get_reader(str(tmp_path / "cut.tif"))(str(tmp_path / "cut.tif"))


def test_a_slide_is_one_lazy_layer_in_colour(slide, monkeypatch):
    path, picture = slide
    regions = []
    read = Image.read
    monkeypatch.setattr(Image, "read", lambda self, *a: regions.append(a) or read(self, *a))
    (layer,) = _added(path)
    assert (layer.rgb, layer.multiscale) == (True, True)
    assert [tuple(s) for s in layer.data.shapes] == [(1200, 1500, 3), (600, 750, 3)]
    assert not any(a[0] == 0 for a in regions)  # the finest level is not touched
    np.testing.assert_array_equal(layer.data[0][10:20, 30:50], picture[10:20, 30:50])


def test_sam_reads_the_file_behind_a_layer(slide):
    path, picture = slide
    (layer,) = _added(path)
    image, direct = image_from_layer(layer), open_image(path)
    assert (image.identity, image.persistent, image.uri) == (direct.identity, True, direct.uri)
    np.testing.assert_array_equal(image.read(0, 5, 6, 70, 80), picture[5:70, 6:80])


def test_other_data_in_the_layer_are_not_taken_for_the_file(slide):
    path, picture = slide
    (layer,) = _added(path)
    viewer = ViewerModel()
    copy = viewer.add_image(255 - picture, rgb=True, metadata=layer.metadata)
    assert not image_from_layer(copy).persistent


def test_channels_planes_and_pixel_size(tmp_path, rng):
    stack = rng.integers(0, 60_000, (3, 2, 700, 800), dtype=np.uint16)
    meta = {"axes": "ZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "s.ome.tif", stack, metadata=meta, photometric="minisblack")
    transcode(tmp_path / "s.ome.tif", tmp_path / "s.ome.zarr")
    layers = _added(str(tmp_path / "s.ome.zarr"))
    assert [layer.name for layer in layers] == ["s channel 0", "s channel 1"]
    assert tuple(layers[1].scale) == (1.0, 0.5, 0.25)
    assert layers[1].data.shapes[0] == (3, 700, 800)
    np.testing.assert_array_equal(layers[1].data[0][2, 5:50, ::7], stack[2, 1, 5:50, ::7])
    image = image_from_layer(layers[1], (2,))
    np.testing.assert_array_equal(image.read(0, 5, 6, 70, 80)[..., 0], stack[2, 1, 5:70, 6:80])
    assert image.identity == open_image(tmp_path / "s.ome.zarr").with_plane((2,), (1,)).identity


def test_a_place_on_the_ground_comes_as_metadata_and_pixel_size(tmp_path):
    tags = [
        (33550, "d", 3, (10.0, 20.0, 0.0), True),
        (33922, "d", 6, (0, 0, 0, 500_000.0, 6_000_000.0, 0), True),
        (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32632), True),
    ]
    tifffile.imwrite(tmp_path / "g.tif", np.zeros((40, 50), np.uint8), extratags=tags)
    (layer,) = _added(str(tmp_path / "g.tif"))
    assert tuple(layer.scale) == (20.0, 10.0)
    assert tuple(layer.translate) == (0.0, 0.0)  # float32 on the screen cannot hold map coordinates
    assert layer.metadata["geo"]["crs"] == "EPSG:32632"
    assert layer.metadata["geo"]["transform"] == (10.0, 0.0, 500_000.0, 0.0, -20.0, 6_000_000.0)
    assert layer.metadata["napari_sam"]["source"] == str(tmp_path / "g.tif")


@pytest.mark.parametrize(
    "index",
    [
        np.s_[1],
        np.s_[-1, 5:20, 7],
        np.s_[..., 3:9],
        np.s_[:, 2:30:3, 4:40:5],
        np.s_[0:2, ::2, ::2],
        np.s_[2, 10:10, :],
        np.s_[np.int64(1), slice(0, np.int64(9)), slice(None)],
    ],
)
def test_a_shown_level_is_indexed_like_numpy(rng, index):
    stack = rng.integers(0, 255, (3, 60, 70), dtype=np.uint8)
    level = ShownLevel(Image([stack], "zyx", "a", (0,), (0,)), 0, rgb=False)
    assert (level.shape, level.ndim, level.size, len(level)) == (stack.shape, 3, stack.size, 3)
    np.testing.assert_array_equal(level[index], stack[index])
    np.testing.assert_array_equal(np.asarray(level), stack)


def test_an_index_outside_is_refused(rng):
    level = ShownLevel(Image([np.zeros((6, 7))], "yx", "a", (0,)), 0, rgb=False)
    for index in (np.s_[6], np.s_[0, -8], np.s_[0, 0, 0]):
        with pytest.raises(IndexError):
            level[index]


def test_napari_finds_the_reader(slide):
    import npe2

    manager = npe2.PluginManager.instance()
    manager.discover()
    commands = [r.command for r in manager.iter_compatible_readers([slide[0]])]
    assert "napari-sam-xl.read_image" in commands


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_what_was_precomputed_for_a_file_is_found_for_its_layer(tmp_path, dtype):
    from napari.layers import Image as ImageLayer

    pixels = (np.random.default_rng(0).random((300, 400)) * 200).astype(dtype)
    zarr.create_array(tmp_path / "a.zarr", shape=pixels.shape, chunks=(128, 128), dtype=dtype)[...] = pixels
    ((data, options, _),) = read_layers(str(tmp_path / "a.zarr"))
    layer = image_from_layer(ImageLayer(data, **options))
    file = open_image(tmp_path / "a.zarr")
    assert layer.identity == file.identity
    assert layer.persistent
    assert choose_normalisation(layer) == choose_normalisation(file)


def test_a_layer_is_seen_as_it_is_shown(viewer, rng):
    data = rng.integers(0, 60_000, (3, 40, 50), dtype=np.uint16)
    image = image_from_layer(viewer.add_image(data, contrast_limits=(100, 5000), scale=(1, 2, 3)), (2,))
    assert image.contrast_limits == (100.0, 5000.0)
    assert image.scale == (2.0, 3.0)
    np.testing.assert_array_equal(image.read(0, 5, 5, 9, 9)[..., 0], data[2, 5:9, 5:9])


def test_rgb_and_multiscale_layers_are_read(viewer, rng):
    rgb = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
    image = image_from_layer(viewer.add_image([rgb, rgb[::2, ::2]], rgb=True, multiscale=True))
    assert image.levels == [(40, 50), (20, 25)]
    assert image.channels == 3


def test_coarser_levels_with_fewer_planes_are_read_at_the_same_depth(viewer):
    fine = np.arange(8)[:, None, None] * np.ones((1, 40, 50), np.uint8)
    layer = viewer.add_image([fine, fine[::2, ::2, ::2]], multiscale=True)
    image = image_from_layer(layer, (6,))
    assert image.read(0, 0, 0, 1, 1).item() == image.read(1, 0, 0, 1, 1).item() == 6


def test_other_data_in_a_layer_is_another_image(viewer):
    layer = viewer.add_image(np.zeros((9, 9)))
    first = image_from_layer(layer).identity
    assert image_from_layer(layer).identity == first
    layer.data = np.ones((9, 9))
    assert image_from_layer(layer).identity != first


def test_layers_lie_where_the_file_says(tmp_path, viewer):
    group = zarr.open_group(tmp_path / "i.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=(3, 64, 64), dtype="u2")
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    placed = [{"type": "scale", "scale": [2, 0.5, 0.25]}, {"type": "translation", "translation": [10, 100, 200]}]
    datasets = [{"path": "0", "coordinateTransformations": placed}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    ((data, keywords, _),) = read_layers(str(tmp_path / "i.zarr"))
    layer = viewer.add_image(data, **keywords)
    assert (layer.scale.tolist(), layer.translate.tolist()) == ([2, 0.5, 0.25], [10, 100, 200])
    LabelStore.create(tmp_path / "l.zarr", like=image_from_layer(layer), shape=(3, 64, 64)).close()
    ((data, keywords, _),) = read_layers(str(tmp_path / "l.zarr"))
    assert (keywords["scale"], keywords["translate"]) == ((2, 0.5, 0.25), (10, 100, 200))


def test_an_image_in_memory_keeps_the_place_of_its_layer(viewer):
    layer = viewer.add_image(np.zeros((4, 9, 9)), scale=(3, 2, 1), translate=(5, 6, 7), units=("um", "nm", "nm"))
    image = image_from_layer(layer)
    assert (image.scale, image.translation, image.unit) == ((2, 1), (6, 7), "nanometer")
    assert image.placement(image.stack_axes[0]) == AxisPlacement(3000, 5000, "nanometer")


@pytest.mark.parametrize("planar", [False, True])
def test_a_scene_of_three_bands_is_one_layer_and_all_bands_are_used(tmp_path, viewer, rng, planar):
    scene = rng.integers(500, 3000, (96, 128, 3)).astype(np.uint16)
    stored = np.ascontiguousarray(np.moveaxis(scene, -1, 0)) if planar else scene
    config = "separate" if planar else "contig"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=config, tile=(64, 64))
    ((data, keywords, _),) = read_layers(str(tmp_path / "a.tif"))
    assert (keywords["rgb"], data.dtype, data.shape) == (True, np.uint8, (96, 128, 3))
    layer = viewer.add_image(data, **keywords)
    image = image_from_layer(layer)
    assert (image.read(0, 0, 0, 96, 128) == scene).all()
    shown = choose_normalisation(image).apply(scene)
    assert (np.asarray(data) == shown).all()


def test_what_is_used_of_an_image_is_said_in_the_words_of_the_viewer(tmp_path, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 99, (5, 64, 80)).astype(np.uint16), metadata={"axes": "CYX"})
    (data, _, _), *_ = read_layers(str(tmp_path / "a.tif"))
    assert image_notes(data.image) == ["uses channel 0 of 5: choose with the layer of another channel"]


def test_an_image_whose_smallest_value_is_white_is_shown_reversed(tmp_path, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (64, 80)).astype(np.uint8), photometric="miniswhite")
    ((_, keywords, _),) = read_layers(str(tmp_path / "a.tif"))
    assert (keywords["colormap"], keywords["contrast_limits"]) == ("gray_r", (0.0, 255.0))
