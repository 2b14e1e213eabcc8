"""Volumes, surfaces and shapes of objects through z, against geometry and scikit-image."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from skimage.measure import regionprops

from napari_sam.errors import CancelledError, LabelsError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.measurement import measure_volumes as module
from napari_sam.io.labels.measurement.measure_volumes import measure_volumes

UM = "micrometer"


def ellipsoid(shape, centre, radii):
    grid = np.indices(shape).astype(float)
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1


@pytest.fixture
def volume():
    labels = np.zeros((20, 60, 80), np.uint32)
    labels[ellipsoid(labels.shape, (9, 25, 30), (7, 14, 14))] = 1
    labels[ellipsoid(labels.shape, (10, 40, 60), (5, 10, 15)) & (labels == 0)] = 2
    labels[17:20, 0:5, 76:80] = 3  # in the corner of the image
    labels[3, 50, 3] = 4  # one voxel
    return labels


def store_of(folder, labels, axes="zyx", scales=(2.0, 0.5, 0.5), unit=UM):
    pixels = (labels % 251).astype(np.uint16)
    image = open_image(pixels, axes=axes)
    leading = {a: AxisPlacement(s, 0.0, "second" if a == "t" else unit) for a, s in zip(axes, scales, strict=True)}
    image.place(leading)
    store = LabelStore.create(folder / "volume.ome.zarr", like=image, shape=labels.shape)
    parts = {}
    for plane in np.ndindex(labels.shape[:-2]):
        for label in np.unique(labels[plane][labels[plane] > 0]).tolist():
            parts.setdefault(label, {})[plane] = (labels[plane] == label, (0, 0, *labels.shape[-2:]))
    for label, masks in sorted(parts.items()):
        store.commit_planes(masks, label=label)
    return store, image


def test_volumes_and_positions_equal_those_of_scikit_image(tmp_path, volume):
    store, image = store_of(tmp_path, volume)
    with store:
        table = measure_volumes(store, image).set_index("label")
    for region in regionprops(volume, (volume % 251).astype(float)):
        row = table.loc[region.label]
        assert row["voxels"] == region.area
        assert row["volume_um3"] == pytest.approx(region.area * 0.5)
        assert row[["z0", "y0", "x0", "z1", "y1", "x1"]].tolist() == list(region.bbox)
        assert row[["centroid_z_px", "centroid_y_px", "centroid_x_px"]].tolist() == pytest.approx(region.centroid)
        assert row["centroid_z_um"] == pytest.approx(2 * region.centroid[0])
        assert row["n_planes"] == region.bbox[3] - region.bbox[0]
        assert row["intensity_mean_0"] == pytest.approx(region.label)


def test_surface_axes_and_sphericity_of_an_ellipsoid(tmp_path):
    """Half-axes of 14, 14 and 7 voxels of 2 x 1 x 1 um: a sphere of radius 14 um."""
    labels = ellipsoid((20, 60, 60), (9.4, 30.2, 29.7), (7, 14, 14)).astype(np.uint32)
    store, _ = store_of(tmp_path, labels, scales=(2.0, 1.0, 1.0))
    with store:
        row = measure_volumes(store).iloc[0]
    assert row["volume_um3"] == pytest.approx(4 / 3 * math.pi * 14**3, rel=0.02)
    assert row["surface_um2"] == pytest.approx(4 * math.pi * 14**2, rel=0.03)
    assert row["equivalent_diameter_um"] == pytest.approx(28, rel=0.01)
    for name in ("major", "middle", "minor"):
        assert row[f"axis_{name}_um"] == pytest.approx(28, rel=0.02)
    assert row["sphericity"] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("tile_px", [16, 20, 37])
def test_the_result_does_not_depend_on_tiles(tmp_path, volume, monkeypatch, tile_px):
    store, image = store_of(tmp_path, volume)
    with store:
        whole = measure_volumes(store, image)
        monkeypatch.setattr(module, "_TILE_PX", tile_px)
        tiled = measure_volumes(store, image)
    numbers = whole.select_dtypes("number").columns
    assert np.allclose(whole[numbers].astype(float), tiled[numbers].astype(float), equal_nan=True)


def test_the_border_of_the_image_counts_as_surface(tmp_path):
    for offset in (0, 1):
        labels = np.zeros((12, 14, 14), np.uint32)
        labels[offset : offset + 8, offset : offset + 8, offset : offset + 8] = 1
        folder = tmp_path / str(offset)
        folder.mkdir()
        store, _ = store_of(folder, labels, scales=(1.0, 1.0, 1.0))
        with store:
            surface = measure_volumes(store)["surface_um2"][0]
        if offset == 0:
            at_border = surface
    assert at_border == pytest.approx(surface)


def test_an_object_that_fills_the_image_has_its_sides_as_surface(tmp_path):
    store, _ = store_of(tmp_path, np.ones((10, 10, 10), np.uint32), scales=(1.0, 1.0, 1.0))
    with store:
        full = measure_volumes(store)["surface_um2"][0]
    inside = np.zeros((12, 12, 12), np.uint32)
    inside[1:11, 1:11, 1:11] = 1
    (tmp_path / "inside").mkdir()
    store, _ = store_of(tmp_path / "inside", inside, scales=(1.0, 1.0, 1.0))
    with store:
        assert full == pytest.approx(measure_volumes(store)["surface_um2"][0])


def test_each_frame_of_a_movie_of_volumes_has_a_row(tmp_path, volume):
    movie = np.stack([volume, np.where(volume == 2, 0, volume)])
    store, _ = store_of(tmp_path, movie, "tzyx", (5.0, 2.0, 0.5, 0.5))
    with store:
        table = measure_volumes(store)
    assert table[["label", "t"]].values.tolist() == [[1, 0], [1, 1], [2, 0], [3, 0], [3, 1], [4, 0], [4, 1]]
    counts = [np.count_nonzero(movie[t] == n) for n, t in table[["label", "t"]].values]
    assert table["voxels"].tolist() == counts


def test_without_a_unit_lengths_are_in_voxels(tmp_path, volume):
    store, _ = store_of(tmp_path, volume, scales=(1.0, 1.0, 1.0), unit=None)
    with store:
        table = measure_volumes(store)
        stretched = measure_volumes(store, z_step=3.0)
    assert table["volume_px3"].tolist() == table["voxels"].tolist()
    assert stretched["volume_px3"].tolist() == (3 * table["voxels"]).tolist()


def test_an_unknown_distance_of_planes_can_be_given(tmp_path, volume):
    image = open_image((volume % 7).astype(np.uint8), axes="zyx")
    image.place(dict.fromkeys("yx", AxisPlacement(0.5, 0.0, UM)))
    with LabelStore.create(tmp_path / "v.zarr", like=image, shape=volume.shape) as store:
        store.commit_planes({4: (np.ones((5, 5), bool), (0, 0, 5, 5))})
        assert "volume_px3" in measure_volumes(store)
        assert measure_volumes(store, z_step=2.0)["volume_um3"].tolist() == pytest.approx([25 * 0.5 * 0.5 * 2])
        with pytest.raises(LabelsError, match="z_step is -1"):
            measure_volumes(store, z_step=-1.0)


def test_absurd_anisotropy_gives_volumes_and_no_surface(tmp_path, volume):
    store, _ = store_of(tmp_path, volume, scales=(5000.0, 0.5, 0.5))
    with store:
        table = measure_volumes(store)
    assert table["surface_um2"].isna().all()
    assert (table["volume_um3"] == 1250 * table["voxels"]).all()


def test_labels_without_z_are_refused(tmp_path, volume):
    store, _ = store_of(tmp_path, volume, "tyx")
    with store, pytest.raises(LabelsError, match="axes tyx, and volumes need z"):
        measure_volumes(store)


def test_a_store_without_objects_has_an_empty_table(tmp_path, volume):
    store, _ = store_of(tmp_path, np.zeros_like(volume))
    with store:
        table = measure_volumes(store)
    assert len(table) == 0
    assert "volume_um3" in table


def test_measuring_stops_when_cancelled_and_counts_its_parts(tmp_path, volume):
    store, _ = store_of(tmp_path, volume)
    steps = []
    with store:
        measure_volumes(store, progress=lambda done, total: steps.append((done, total)))
        with pytest.raises(CancelledError):
            measure_volumes(store, cancelled=lambda: True)
    assert steps[-1][0] == steps[-1][1] > 0


def peak_bytes(folder, planes):
    """Return the memory that measuring a stack takes at its peak, of a block and a column through all planes."""
    with LabelStore.create(folder, shape=(planes, 600, 700)) as store:
        store.commit_planes({z: (np.ones((200, 300), bool), (100, 100, 300, 400)) for z in range(planes)})
        store.commit_planes({z: (np.ones((5, 5), bool), (500, 600, 505, 605)) for z in range(planes)})
        measure_volumes(store)  # what is imported and kept does not count
        tracemalloc.start()
        table = measure_volumes(store)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert table["voxels"].tolist() == [60_000 * planes, 25 * planes]
    return peak


def test_memory_does_not_grow_with_the_number_of_planes(tmp_path):
    assert peak_bytes(tmp_path / "many", 40) < 1.3 * peak_bytes(tmp_path / "few", 5)
