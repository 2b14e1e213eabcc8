"""Projects: adding images of all sorts, asking for them, annotating them, and thumbnails."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
import zarr

import napari_sam as ns
from napari_sam.errors import ImageError, ProjectError, StoreLockedError, UnknownModelError


@pytest.fixture
def images(tmp_path, rng):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b", "c"):
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, (40, 60), dtype=np.uint8))
    return folder


@pytest.fixture
def project(tmp_path, images):
    made = ns.Project.create(tmp_path / "project", user="Ada")
    made.add(images)
    return made


@pytest.fixture
def plate(tmp_path, rng):
    """A plate of two wells with two fields each."""
    path = tmp_path / "screen.zarr"
    root = zarr.create_group(path)
    wells = [{"path": f"A/{column}", "rowIndex": 0, "columnIndex": column - 1} for column in (1, 2)]
    root.attrs["ome"] = {"version": "0.5", "plate": {"wells": wells, "rows": [{"name": "A"}]}}
    for well in wells:
        group = root.create_group(well["path"])
        group.attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}
        for name in "01":
            field = group.create_group(name)
            axes = [{"name": axis, "type": "space"} for axis in "yx"]
            scale = [{"type": "scale", "scale": [1.0, 1.0]}]
            datasets = [{"path": "0", "coordinateTransformations": scale}]
            field.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
            field.create_array("0", data=rng.integers(0, 255, (30, 20), dtype=np.uint8))
    return path


def test_a_folder_of_images_is_added(project, images):
    assert [image.name for image in project.images()] == ["a.tif", "b.tif", "c.tif"]
    again = project.add(images, images / "a.tif")
    assert (len(again.added), len(again.known)) == (0, 4)
    assert repr(project) == "<Project 'project': 3 unseen>"
    assert len(project) == 3


def test_a_well_that_is_missing_keeps_no_other_from_being_added(project, plate):
    shutil.rmtree(plate / "A" / "1")
    report = project.add(plate)
    assert [image.name for image in report.added] == ["screen.zarr/A/2/0", "screen.zarr/A/2/1"]
    assert list(report.failed) == [f"{plate}/A/1"]


def test_a_plate_is_added_field_by_field(project, plate):
    report = project.add(plate, condition="treated")
    assert [image.name for image in report.added][:2] == ["screen.zarr/A/1/0", "screen.zarr/A/1/1"]
    well = project.images(groups={"plate": "screen.zarr", "well": "A/2"})
    assert [image.entry.groups["field"] for image in well] == ["0", "1"]
    assert all(image.entry.groups["condition"] == "treated" for image in well)
    assert well[0].open().shape == (30, 20)


def test_images_that_cannot_be_opened_are_named_and_the_others_added(project, tmp_path, rng):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "bad.tif").write_bytes(b"II*\0nothing")
    tifffile.imwrite(tmp_path / "more" / "good.tif", rng.integers(0, 9, (8, 9), dtype=np.uint8))
    report = project.add(tmp_path / "more")
    assert [image.name for image in report.added] == ["good.tif"]
    assert "bad.tif" in next(iter(report.failed))
    with pytest.raises(ImageError, match="no file has such a name"):
        project.add(str(tmp_path / "*.nothing"))


def test_images_of_different_kinds_are_pointed_out(project, tmp_path, rng):
    tifffile.imwrite(tmp_path / "d.tif", rng.integers(0, 999, (40, 60), dtype=np.uint16))
    (note,) = project.add(tmp_path / "d.tif").notes
    assert "1 of uint16 x 1, 3 of uint8 x 1" in note


def test_objects_are_annotated_while_nobody_else_can(project):
    image = project.image("a.tif")
    other = ns.Project(project.path, user="Bob").image("a.tif")
    with image.labels() as labels:
        labels.paint(np.ones((5, 5), bool), (3, 4))
        assert other.locked_by.startswith("Ada@")
        with pytest.raises(StoreLockedError, match=r"a\.tif is open for Ada"), other.labels():
            pass
    assert (other.objects, other.locked_by) == (1, None)
    assert ns.Project(project.path).image("a.tif").state == "in work"
    with other.labels() as labels:
        assert len(labels) == 1


def test_an_error_while_annotating_releases_the_image(project):
    image = project.image("a.tif")
    with pytest.raises(RuntimeError), image.labels():
        raise RuntimeError
    assert image.locked_by is None


def test_the_next_image_is_one_that_nobody_works_on(project):
    names = [project.next_image().name]
    project.image("b.tif").state = "in work"
    names.append(project.next_image().name)
    with project.image("b.tif").labels():
        names.append(project.next_image().name)
        names.append(project.next_image(after=project.image("a.tif").image_id).name)
        names.append(project.next_image(after=project.image("c.tif").image_id).name)
    for image in project.images():
        image.state = "done"
    assert names == ["a.tif", "b.tif", "a.tif", "c.tif", "a.tif"]
    assert project.next_image() is None


def test_images_are_asked_for_by_state_and_column(project):
    image = project.image("b.tif")
    image.state = "done"
    project.set_groups(image.image_id, condition="treated")
    assert [one.name for one in project.images("done")] == ["b.tif"]
    assert [one.name for one in project.images(("unseen", "checked"))] == ["a.tif", "c.tif"]
    assert [one.name for one in project.images(groups={"condition": "treated"})] == ["b.tif"]
    with pytest.raises(ProjectError, match="state is 'ready'"):
        project.images("ready")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"area_px": "3"}, "no image has a column 'area_px'; choose from condition"),
        ({"condition": "treatd"}, "no image has condition 'treatd'; choose from treated"),
    ],
)
def test_columns_and_values_that_no_image_has_are_refused_with_those_there_are(project, groups, message):
    project.set_groups(project.image("b.tif").image_id, condition="treated")
    with pytest.raises(ProjectError, match=message):
        project.images(groups=groups)


@pytest.mark.parametrize("name", ["area_px", "area_um2", "intensity_mean_0", "solidity", "volume_um3", "centroid_y_px"])
def test_a_column_that_measurements_have_is_refused(project, name):
    image = project.image("a.tif")
    with pytest.raises(ProjectError, match=f"the column '{name}' holds measurements of objects"):
        project.set_groups(image.image_id, **{name: "3"})
    assert project.image("a.tif").entry.groups == {}


def test_an_image_is_named_by_its_id_path_or_file(project, images, tmp_path):
    image = project.image("a.tif")
    assert project.image(image.image_id).entry == project.image(str(images / "a.tif")).entry == image.entry
    with pytest.raises(ProjectError, match=r"has no images 'd\.tif'"):
        project.image("d.tif")
    (tmp_path / "other").mkdir()
    tifffile.imwrite(tmp_path / "other" / "a.tif", np.zeros((8, 8), np.uint8))
    project.add(tmp_path / "other" / "a.tif")
    with pytest.raises(ProjectError, match=r"has 2 images 'a\.tif'; give one of the ids"):
        project.image("a.tif")


def test_the_table_tells_how_far_each_image_is(project):
    project.image("a.tif").state = "checked"
    with project.image("b.tif").labels() as labels:
        labels.paint(np.ones((5, 5), bool), (3, 4))
    damaged = project.image("c.tif").labels_path
    damaged.mkdir(parents=True)
    (damaged / "journal.sqlite").write_bytes(b"no database")
    table = project.table().set_index("image")
    assert table["state"].tolist() == ["checked", "in work", "unseen"]
    assert table["by"].tolist() == ["Ada", "Ada", ""]
    assert table["objects"].tolist()[:2] == [0, 1]
    assert np.isnan(table["objects"]["c.tif"])
    assert project.counts() == {"unseen": 1, "in work": 1, "done": 0, "checked": 1}


def test_an_image_that_is_added_again_has_its_objects(project, images):
    image = project.image("a.tif")
    with image.labels() as labels:
        labels.paint(np.ones((5, 5), bool), (3, 4))
    project.remove(image.image_id)
    assert [one.name for one in project.images()] == ["b.tif", "c.tif"]
    project.add(images / "a.tif")
    assert project.image("a.tif").objects == 1


def test_moved_images_are_found(project, images, tmp_path):
    shutil.move(images, tmp_path / "archive")
    assert [image.name for image in project.missing()] == ["a.tif", "b.tif", "c.tif"]
    assert len(project.relocate(tmp_path / "archive")) == 3
    assert project.missing() == []
    assert project.image("b.tif").open().shape == (40, 60)


def test_a_misspelled_model_is_refused_at_once(project):
    with pytest.raises(UnknownModelError, match=r"did you mean .*vit_t"):
        project.use_model("vitt")
    assert project.model == "default"


def test_thumbnails_are_small_and_kept(project, images, tmp_path):
    large = np.zeros((1200, 300), np.uint16)
    large[:600] = 4000
    tifffile.imwrite(tmp_path / "large.tif", large)
    (image,) = project.add(tmp_path / "large.tif").added
    picture = image.thumbnail()
    assert picture.shape == (128, 32, 3)
    assert picture[:60].min() == 255
    assert picture[-60:].max() == 0
    (tmp_path / "large.tif").unlink()
    assert np.array_equal(project.image("large.tif").thumbnail(), picture)
    (project.path / "thumbnails" / f"{image.image_id}.png").write_bytes(b"damaged")
    with pytest.raises(ImageError, match="has moved"):
        image.thumbnail()
