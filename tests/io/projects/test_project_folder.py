"""Projects name images, find them again, and are shared by several people."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam.errors import ImageError, ProjectError, StoreLockedError
from napari_sam.io.projects.project_folder import ProjectFolder


@pytest.fixture
def images(tmp_path, rng):
    """Three images in a folder of their own."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abc":
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, (20, 30), dtype=np.uint8))
    return folder


@pytest.fixture
def project(tmp_path):
    return ProjectFolder.create(tmp_path / "project", user="Ada")


def test_images_are_added_once(project, images):
    entry, is_new = project.add(images / "a.tif", {"condition": "treated"})
    assert is_new
    assert (entry.shape, entry.kind, entry.state) == ((20, 30), "uint8 x 1", "unseen")
    assert project.add(images / "a.tif") == (entry, False)
    (images / "again").symlink_to(images)
    assert project.add(images / "again" / "a.tif") == (entry, False)
    again = ProjectFolder(project.path)
    assert list(again.entries()) == [entry]
    assert again.source(entry) == str(images / "a.tif")


def test_different_files_of_the_same_pixels_are_two_images(project, images):
    shutil.copy(images / "a.tif", images / "copy.tif")
    first, second = (project.add(images / name)[0] for name in ("a.tif", "copy.tif"))
    assert first.image_id != second.image_id
    assert first.fingerprint == second.fingerprint
    assert len(list(project.entries())) == 2


def test_states_and_columns_are_kept_with_who_set_them(project, images):
    image_id = project.add(images / "a.tif")[0].image_id
    project.set_groups(image_id, {"condition": "wild type"})
    project.set_state(image_id, "done")
    entry = ProjectFolder(project.path).entry(image_id)
    assert (entry.state, entry.by, entry.groups) == ("done", "Ada", {"condition": "wild type"})
    with pytest.raises(ProjectError, match="state is 'finished'"):
        project.set_state(image_id, "finished")


def test_a_project_is_moved_with_its_images(tmp_path, project, images):
    entry, _ = project.add(images / "a.tif")
    there = tmp_path / "elsewhere"
    there.mkdir()
    for folder in (project.path, images):
        shutil.move(folder, there / folder.name)
    moved = ProjectFolder(there / "project")
    assert moved.source(entry) == str(there / "images" / "a.tif")


def test_a_project_is_moved_without_its_images(tmp_path, project, images):
    entry, _ = project.add(images / "a.tif")
    (tmp_path / "far" / "away").mkdir(parents=True)
    shutil.move(project.path, tmp_path / "far" / "away" / "project")
    assert ProjectFolder(tmp_path / "far" / "away" / "project").source(entry) == str(images / "a.tif")


def test_moved_images_are_found_by_their_pixels(project, images, tmp_path):
    entries = {name: project.add(images / f"{name}.tif")[0] for name in "abc"}
    (tmp_path / "new").mkdir()
    shutil.move(images / "a.tif", tmp_path / "new" / "renamed.tif")
    shutil.move(images / "b.tif", tmp_path / "new" / "b.tif")
    (tmp_path / "new" / "notes.txt").write_text("no image")
    with pytest.raises(ImageError, match=r"a\.tif: the image has moved"):
        project.source(entries["a"])
    found = project.relocate(sorted((tmp_path / "new").iterdir()))
    assert {entry.image_id for entry in found} == {entries["a"].image_id, entries["b"].image_id}
    assert project.source(project.entry(entries["a"].image_id)) == str(tmp_path / "new" / "renamed.tif")


def test_a_moved_image_that_is_added_again_keeps_its_entry(project, images, tmp_path):
    entry, _ = project.add(images / "a.tif")
    project.set_state(entry.image_id, "done")
    (tmp_path / "new").mkdir()
    shutil.move(images / "a.tif", tmp_path / "new" / "a.tif")
    again, is_new = project.add(tmp_path / "new" / "a.tif")
    assert (again.image_id, again.state, is_new) == (entry.image_id, "done", False)
    assert project.source(again) == str(tmp_path / "new" / "a.tif")


def test_two_people_add_the_same_images_at_once(project, images):
    both = [project, ProjectFolder(project.path, user="Bob")]
    barrier = threading.Barrier(2)

    def add(one):
        barrier.wait()
        for name in "abc":
            one.add(images / f"{name}.tif")

    threads = [threading.Thread(target=add, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(project.entries())) == 3
    assert sum(event["event"] == "added" for event in project.events()) == 3


def test_one_person_at_a_time_works_on_an_image(project, images):
    image_id = project.add(images / "a.tif")[0].image_id
    with project.lock(image_id):
        bob = ProjectFolder(project.path, user="Bob")
        assert bob.holder(image_id).user == "Ada"
        with pytest.raises(StoreLockedError, match=r"a\.tif is open for Ada"):
            bob.lock(image_id)
    assert project.holder(image_id) is None


def test_the_history_tells_who_did_what_in_order(project, images):
    image_id = project.add(images / "a.tif")[0].image_id
    ProjectFolder(project.path, user="Bob").set_state(image_id, "in work")
    project.remove(image_id)
    torn = project.path / "log" / "crashed.jsonl"
    torn.write_text('{"time": 1, "event": "x", "user": "Eve"}\n{"time": 2, "ev')
    events = [(event["user"], event["event"]) for event in project.events()]
    assert events == [("Eve", "x"), ("Ada", "added"), ("Bob", "state"), ("Ada", "removed")]
    assert list(project.entries()) == []


def test_settings_are_kept_beside_each_other(project):
    project.save_settings(diameter_px=12)
    ProjectFolder(project.path).save_settings(model="default")
    assert ProjectFolder(project.path).settings == {"diameter_px": 12, "model": "default"}


def test_folders_that_are_no_project_are_refused(tmp_path, project):
    with pytest.raises(ProjectError, match=r"is no project: it has no project\.json"):
        ProjectFolder(tmp_path)
    with pytest.raises(ProjectError, match="is not empty"):
        ProjectFolder.create(tmp_path)
    with pytest.raises(ProjectError, match="is a project already"):
        ProjectFolder.create(project.path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', '{"format": 1, "settings": 3}', "[" * 9999])
def test_a_damaged_project_file_is_named(project, text):
    (project.path / "project.json").write_text(text)
    with pytest.raises(ProjectError, match=r"project\.json: cannot be read"):
        ProjectFolder(project.path)


def test_a_newer_project_is_refused(project):
    (project.path / "project.json").write_text('{"format": 99}')
    with pytest.raises(ProjectError, match="newer version"):
        ProjectFolder(project.path)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [1]},
        {"shape": None},
        {"state": "new"},
        {"kind": 3},
        {"groups": []},
        {"image_id": "b"},
        {"changed": "x"},
    ],
)
def test_a_damaged_entry_is_named(project, images, change):
    image_id = project.add(images / "a.tif")[0].image_id
    path = project.path / "images" / f"{image_id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ProjectError, match=rf"{image_id}\.json"):
        project.entry(image_id)


def test_an_entry_of_a_newer_version_is_read(project, images):
    entry, _ = project.add(images / "a.tif")
    path = project.path / "images" / f"{entry.image_id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))
    assert project.entry(entry.image_id) == entry


@pytest.mark.parametrize("image_id", ["", "../project", "a/b", "nothing"])
def test_unknown_images_are_refused(project, image_id):
    with pytest.raises(ProjectError, match="image"):
        project.entry(image_id)


def test_files_that_are_no_images_are_refused(project, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ImageError, match=r"notes\.txt"):
        project.add(tmp_path / "notes.txt")
    assert list(project.entries()) == []


def test_a_zarr_keeps_its_address(project, tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(3, 20, 30), dtype="u1", chunks=(1, 20, 30))
    entry, _ = project.add(f"{tmp_path / 'a.zarr'}#axes=zyx")
    assert project.source(entry).endswith("a.zarr#axes=zyx")
