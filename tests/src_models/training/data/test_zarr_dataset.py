"""OME-Zarr groups with labels: what is read, skipped and refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import zarr

from src_models.training.data import picture_files
from src_models.training.data.datasets import read_dataset
from src_models.training.data.picture_files import to_rgb8
from tests.src_models.training.data.dataset_files import SHAPE, assert_refused, label_image, random_image, save_picture


def _multiscale(group, array, axes, version, **more):
    """Write an OME-Zarr image by hand: level 0 and its metadata."""
    level = group.create_array("0", shape=array.shape, chunks=array.shape, dtype=array.dtype)
    level[...] = array
    scale = [{"type": "scale", "scale": [1.0] * array.ndim}]
    kinds = {"t": "time", "c": "channel"}
    content = {
        "multiscales": [
            {
                "axes": [{"name": a, "type": kinds.get(a, "space")} for a in axes],
                "datasets": [{"path": "0", "coordinateTransformations": scale}],
            }
        ],
        **more,
    }
    _attributes(group, content, version)


def _attributes(group, content, version):
    if version == "0.5":
        content = {"ome": {"version": "0.5", **content}}
    elif "multiscales" in content:
        content["multiscales"][0]["version"] = version
    group.attrs.update(content)


def _attributes_raw(path, content, version):
    """Replace OME metadata with `content` as it is."""
    group = zarr.open_group(path, mode="r+")
    group.attrs.update({"ome": {"version": "0.5", **content}} if version == "0.5" else content)


def _group(path, version):
    return zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)


def _ome_zarr(path, image, axes, labels, label_axes=None, version="0.5"):
    """An image with labels/NAME for each item of `labels`."""
    group = _group(path, version)
    _multiscale(group, image, axes, version)
    inner = group.create_group("labels")
    _attributes(inner, {"labels": list(labels)}, version)
    for name, array in labels.items():
        about = {"image-label": {"source": {"image": "../../"}}}
        _multiscale(inner.create_group(name), array, label_axes or axes.replace("c", ""), version, **about)
    return path


@pytest.fixture(params=["0.4", "0.5"])
def version(request):
    return request.param


class TestOmeZarr:
    def test_one_plane(self, tmp_path, version):
        image, labels = random_image(), label_image(1, 2, 7, dtype=np.uint32)
        path = _ome_zarr(tmp_path / "a.zarr", image, "yxc", {"cells": labels}, version=version)
        found = read_dataset(path)
        assert (found.name, found.skipped, [p.name for p in found.images]) == ("a.zarr", (), ["cells"])
        assert found.images[0].labels.dtype == np.int32
        np.testing.assert_array_equal(found.images[0].labels, labels)
        np.testing.assert_array_equal(found.images[0].image, image)

    @pytest.mark.parametrize("axes", ["tczyx", "zctyx", "xyzct", "cxtyz"])
    @pytest.mark.parametrize("label_axes", ["tzyx", "xyzt", "zctyx"])
    def test_planes_in_any_order(self, tmp_path, version, axes, label_axes):
        rng = np.random.default_rng(0)
        sizes = {"t": 2, "c": 4, "z": 3, "y": 6, "x": 8}
        image = rng.integers(0, 255, tuple(sizes.values())).astype(np.uint8)
        labels = rng.integers(0, 9, (2, 1, 3, 6, 8)).astype(np.uint16)
        labels[1, 0, 2] = 0
        turned = image.transpose(["tczyx".index(a) for a in axes])
        given = labels if "c" in label_axes else labels[:, 0]
        own = "tczyx" if "c" in label_axes else "tzyx"
        turned_labels = given.transpose([own.index(a) for a in label_axes])
        path = _ome_zarr(tmp_path / "a.zarr", turned, axes, {"n": turned_labels}, label_axes, version)
        found = read_dataset(path, channels=(3, 0, 1))
        assert [p.name for p in found.images] == ["n/t0/z0", "n/t0/z1", "n/t0/z2", "n/t1/z0", "n/t1/z1"]
        assert found.skipped == ("n/t1/z2: no objects",)
        for pair, (t, z) in zip(found.images, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], strict=True):
            np.testing.assert_array_equal(pair.labels, labels[t, 0, z])
            np.testing.assert_array_equal(pair.image, image[t, [3, 0, 1], z].transpose(1, 2, 0))

    def test_default_channels(self, tmp_path, version):
        image = random_image(shape=(2, 4, *SHAPE))
        path = _ome_zarr(tmp_path / "a.zarr", image, "zcyx", {"n": np.stack([label_image()] * 2)}, "zyx", version)
        found = read_dataset(path, ("n/z1",))
        assert [p.name for p in found.images] == ["n/z1"]
        np.testing.assert_array_equal(found.images[0].image, image[1, :3].transpose(1, 2, 0))
        two = _ome_zarr(tmp_path / "b.zarr", image[0, :2], "cyx", {"n": label_image()}, version=version)
        np.testing.assert_array_equal(read_dataset(two).images[0].image, image[0, [0, 0, 0]].transpose(1, 2, 0))
        grey = _ome_zarr(tmp_path / "c.zarr", image[0, 0], "yx", {"n": label_image()}, version=version)
        np.testing.assert_array_equal(read_dataset(grey).images[0].image, image[0, [0, 0, 0]].transpose(1, 2, 0))
        assert_refused(two, "channels is (0, 1, 2)", "b.zarr has 2 channels", "0 to 1", channels=(0, 1, 2))

    def test_deep_images_are_stretched_as_elsewhere(self, tmp_path, version):
        image = random_image(shape=SHAPE, dtype=np.uint16) * 300
        path = _ome_zarr(tmp_path / "a.zarr", image, "yx", {"n": label_image()}, version=version)
        np.testing.assert_array_equal(read_dataset(path).images[0].image, to_rgb8(image))

    def test_several_label_images(self, tmp_path, version):
        labels = {"cells": label_image(1), "nuclei": label_image(2), "none": np.zeros(SHAPE, np.uint8)}
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", labels, version=version)
        found = read_dataset(path)
        assert [p.name for p in found.images] == ["cells", "nuclei"]
        assert found.skipped == ("none: no objects",)
        assert [p.name for p in read_dataset(path, ("nuc*",)).images] == ["nuclei"]
        assert [p.name for p in read_dataset(path / "labels").images] == ["cells", "nuclei"]
        only = read_dataset(path / "labels" / "cells")
        assert [(only.name, p.name) for p in only.images] == [("cells", "cells")]
        np.testing.assert_array_equal(only.images[0].image, random_image())
        assert_refused(path, "no sample matches include", include=("x",))

    def test_labels_that_are_listed_but_gone(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"cells": label_image()}, version=version)
        inner = zarr.open_group(path / "labels", mode="r+")
        _attributes(inner, {"labels": ["cells", "gone"]}, version)
        assert read_dataset(path).skipped == ("gone: no label image, although the metadata list it",)
        assert read_dataset(path, ("cells",)).skipped == ()

    def test_labels_that_are_not_listed(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"cells": label_image()}, version=version)
        zarr.open_group(path / "labels", mode="r+").attrs.clear()
        assert [p.name for p in read_dataset(path).images] == ["cells"]

    @pytest.mark.parametrize("given", ["../raw.zarr", "{}/raw.zarr", "file://{}/raw.zarr", "../picture.png"])
    def test_an_image_elsewhere(self, tmp_path, version, given):
        raw, picture = random_image(1), random_image(2)
        _multiscale(_group(tmp_path / "raw.zarr", version), raw, "yxc", version)
        save_picture(tmp_path / "picture.png", picture)
        about = {"image-label": {"source": {"image": given.format(tmp_path)}}}
        _multiscale(_group(tmp_path / "cells.ome.zarr", version), label_image(), "yx", version, **about)
        pair = read_dataset(tmp_path / "cells.ome.zarr").images[0]
        assert pair.name == "cells.ome.zarr"
        np.testing.assert_array_equal(pair.image, picture if "picture" in given else raw)
        np.testing.assert_array_equal(pair.labels, label_image())

    @pytest.mark.parametrize("about", [{}, {"source": {"image": "/gone.zarr"}}, {"source": 3}, None])
    def test_labels_inside_fall_back_to_the_image_around_them(self, tmp_path, version, about):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"n": label_image()}, version=version)
        inner = zarr.open_group(path / "labels" / "n", mode="r+")
        content = dict(inner.attrs)
        (content["ome"] if version == "0.5" else content)["image-label"] = about
        inner.attrs.update(content)
        for place in (path, path / "labels" / "n"):
            np.testing.assert_array_equal(read_dataset(place).images[0].image, random_image())

    @pytest.mark.parametrize("given", [None, "../gone.zarr", "https://example.org/a.zarr"])
    def test_an_image_that_is_gone(self, tmp_path, version, given):
        about = {"image-label": {"source": {"image": given}} if given else {}}
        _multiscale(_group(tmp_path / "cells.zarr", version), label_image(), "yx", version, **about)
        assert_refused(tmp_path / "cells.zarr", f"cells.zarr: no image at {given!r}", "image-label/source/image")

    def test_labels_that_do_not_fit(self, tmp_path, version):
        def refused(image, axes, labels, label_axes, *words):
            path = _ome_zarr(tmp_path / "a.zarr", image, axes, {"n": labels}, label_axes, version)
            assert_refused(path, "labels/n", *words)

        refused(
            random_image(), "yxc", label_image(shape=(3, 4)), "yx", "shape (3, 4) is not the shape (6, 8) of the image"
        )
        refused(random_image(), "yxc", np.stack([label_image()] * 2), "zyx", "(1, 2) planes in t and z", "has (1, 1)")
        refused(random_image(shape=(2, *SHAPE)), "tyx", label_image(), "yx", "(1, 1) planes", "has (2, 1)")
        refused(random_image(), "yxc", np.stack([label_image()] * 2), "cyx", "labels have 2 channels")
        refused(random_image(), "yxc", label_image(dtype=np.float64), "yx", "float64", "save them as integers")
        refused(random_image(), "yxc", label_image(-1, dtype=np.int32), "yx", "label -1 is negative")

    def test_planes_of_a_picture_file(self, tmp_path, version):
        save_picture(tmp_path / "a.png", random_image())
        about = {"image-label": {"source": {"image": "../a.png"}}}
        labels = np.stack([label_image()] * 2)
        _multiscale(_group(tmp_path / "n.zarr", version), labels, "zyx", version, **about)
        assert_refused(tmp_path / "n.zarr", "(1, 2) planes", "a.png has (1, 1)")

    def test_large_labels_are_renumbered(self, tmp_path, version):
        labels = label_image(2**32 - 1, 5, dtype=np.uint32)
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"n": labels}, version=version)
        np.testing.assert_array_equal(read_dataset(path).images[0].labels, label_image(2, 1))

    def test_a_zarr_without_labels(self, tmp_path, version):
        group = _group(tmp_path / "a.zarr", version)
        assert_refused(tmp_path / "a.zarr", "without OME-Zarr labels", "labels/NAME")
        _multiscale(group, random_image(), "yxc", version)
        assert_refused(tmp_path / "a.zarr", "without OME-Zarr labels")
        assert_refused(tmp_path / "a.zarr" / "0", "without OME-Zarr labels")
        assert_refused(tmp_path, "is a.zarr the data set?")
        _attributes(group.create_group("labels"), {"labels": []}, version)
        assert_refused(tmp_path / "a.zarr", "without OME-Zarr labels")

    @pytest.mark.parametrize("axes", ["qyx", "cyy", "czx", "yx"])
    def test_axes_that_are_none(self, tmp_path, version, axes):
        path = _ome_zarr(
            tmp_path / "a.zarr", random_image(shape=(1, *SHAPE)), axes, {"n": label_image()}, "yx", version
        )
        assert_refused(path, f"axes {axes!r} of an array of shape (1, 6, 8)", "'tczyx'")

    @pytest.mark.parametrize(
        "broken",
        [
            {"multiscales": []},
            {"multiscales": 3},
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "9"}]}]},
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "labels"}]}]},
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "../../secret"}]}]},
            {"multiscales": [{"axes": ["y", "x"]}]},
            {"multiscales": [{"axes": [{"type": "space"}], "datasets": [{"path": "0"}]}]},
        ],
    )
    def test_broken_metadata(self, tmp_path, version, broken):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"n": label_image()}, version=version)
        _attributes_raw(path, broken, version)
        assert_refused(path, "a.zarr is not a readable OME-Zarr image")

    def test_old_axes(self, tmp_path):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"n": label_image()}, version="0.4")
        _attributes_raw(path, {"multiscales": [{"axes": ["y", "x", "c"], "datasets": [{"path": "0"}]}]}, "0.3")
        assert len(read_dataset(path).images) == 1
        five = _ome_zarr(
            tmp_path / "b.zarr", random_image(shape=(1, 1, 1, *SHAPE)), "tczyx", {"n": label_image()}, "yx", "0.4"
        )
        _attributes_raw(five, {"multiscales": [{"datasets": [{"path": "0"}]}]}, "0.2")
        assert len(read_dataset(five).images) == 1

    def test_metadata_that_is_no_json(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"n": label_image()}, version=version)
        for name in ("zarr.json", ".zgroup"):
            if (path / name).exists():
                (path / name).write_text("{")
        assert_refused(path, "a.zarr is not a readable zarr")
        assert_refused(path / "labels" / "n", "a.zarr is not a readable zarr")  # its image

    def test_chunks_that_are_damaged(self, tmp_path, version):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"n": label_image()}, version=version)
        for chunk in (p for p in (path / "0").rglob("*") if p.is_file() and re.fullmatch(r"[\d.]+", p.name)):
            chunk.write_bytes(b"\x00garbage")
        assert_refused(path, "a.zarr: t 0, z 0 cannot be read")

    def test_images_too_large(self, tmp_path, version):
        group = _group(tmp_path / "a.zarr", version)
        _multiscale(group, label_image(), "yx", version, **{"image-label": {}})
        del group["0"]
        group.create_array("0", shape=(1 << 14, (1 << 14) + 1), chunks=(64, 64), dtype="u4")  # nothing is written
        inside = _ome_zarr(tmp_path / "b.zarr", random_image(), "yxc", {"n": label_image()}, version=version)
        (tmp_path / "a.zarr").rename(inside / "labels" / "big")
        assert_refused(inside / "labels" / "big", "16384 x 16385 pixels are more than 268435456", "tile it")

    def test_chunks_too_large(self, tmp_path, monkeypatch, version):
        path = _ome_zarr(
            tmp_path / "a.zarr", random_image(shape=(5, *SHAPE)), "zyx", {"n": label_image()}, "yx", version
        )
        monkeypatch.setattr(picture_files, "_MAX_PX", 50)
        assert_refused(path, "a.zarr: 240 values at once", "tile it")

    def test_objects_and_pickles_are_refused(self, tmp_path):
        """Reading them could run code; nothing is read."""
        path = _ome_zarr(tmp_path / "a.zarr", random_image(shape=SHAPE), "yx", {"n": label_image()}, version="0.4")
        place = path / "labels" / "n" / "0" / ".zarray"
        plain = json.loads(place.read_text())
        pickle, text = [{"id": "pickle"}], [{"id": "vlen-utf8"}, {"id": "pickle"}]
        for change in (
            {"dtype": "|O", "filters": pickle, "fill_value": None},
            {"dtype": "|O", "filters": text, "fill_value": ""},
            {"dtype": "|O", "filters": None, "fill_value": None},
            {"filters": pickle},
            {"compressor": pickle[0]},
        ):
            place.write_text(json.dumps({**plain, **change}))
            assert_refused(path, "labels/n")

    @pytest.mark.parametrize("dtype", ["c8", "U4", "M8[s]"])
    @pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
    def test_arrays_of_something_else(self, tmp_path, version, dtype):
        path = _ome_zarr(tmp_path / "a.zarr", random_image(), "yxc", {"n": label_image()}, version=version)
        group = zarr.open_group(path, mode="r+")
        del group["0"]
        group.create_array("0", shape=(*SHAPE, 3), chunks=(*SHAPE, 3), dtype=dtype)
        assert_refused(path, "a.zarr: dtype", "convert it to numbers")


def test_zarr_is_imported_only_for_zarr(tmp_path):
    import subprocess
    import sys

    save_picture(tmp_path / "a.png", random_image())
    save_picture(tmp_path / "a_mask.png", label_image())
    code = (
        "import sys; from pathlib import Path; from src_models.training.data.datasets import read_dataset\n"
        "read_dataset(Path(sys.argv[1])); print('zarr' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_label_store_is_a_dataset_with_the_image_it_was_made_for(tmp_path):
    from skimage.io import imsave

    from napari_sam.io.images.open_image import open_image
    from napari_sam.io.labels.label_store import LabelStore

    picture = np.random.default_rng(0).integers(0, 255, (80, 90)).astype(np.uint8)
    imsave(tmp_path / "cells.png", picture, check_contrast=False)
    with LabelStore.create(tmp_path / "cells.labels.ome.zarr", like=open_image(tmp_path / "cells.png")) as store:
        store.paint(np.full((20, 20), 5), (10, 30))
    dataset = read_dataset(tmp_path / "cells.labels.ome.zarr")
    (pair,) = dataset.images
    np.testing.assert_array_equal(pair.image[..., 0], picture)
    assert (pair.labels > 0).sum() == 400
