"""Jobs over all images of a project."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs import segment_everything as everything
from napari_sam.project.project import Project


@pytest.fixture
def project(tmp_path, rng, capsys):
    """A project of two images of two conditions."""
    path = tmp_path / "p"
    for name, condition in (("a", "wild type"), ("b", "treated")):
        tifffile.imwrite(tmp_path / f"{name}.tif", rng.integers(0, 255, (20, 30), dtype=np.uint8))
        made = Project(path) if path.exists() else Project.create(path)
        made.add(tmp_path / f"{name}.tif", condition=condition)
    return path


@pytest.fixture
def calls(monkeypatch):
    """Replace `segment_everything` by a stub that draws one square, and record its images."""
    recorded = []

    def stub(image, predictor, output, method, **choice):
        recorded.append(image.name)
        output = output if isinstance(output, LabelStore) else LabelStore.create(output, like=image)
        output.paint(np.ones((4, 5), int), (1, 1))
        return everything.EverythingReport(method, 1, 1, 1, [], [1], {}, output)

    monkeypatch.setattr(everything, "segment_everything", stub)
    return recorded


def results(capsys, status, *words):
    assert main(["project", *map(str, words), "--json"]) == status
    result = json.loads(capsys.readouterr().out)
    return result, [one["state"] for one in result["results"]]


def test_a_project_is_segmented_once_and_its_table_names_the_conditions(project, calls, capsys):
    command = ("everything", project, "--device", "cpu")
    with Project(project, "Bob").image("b.tif").hold():
        assert results(capsys, 1, *command)[1] == ["done", "failed"]
    result, states = results(capsys, 0, *command)
    assert states == ["skipped", "done"]
    assert result["summary"] == str(project / "batch" / "everything.csv")
    table = pd.read_csv(result["summary"])
    assert table[["name", "condition", "objects"]].to_numpy().tolist() == [
        ["a.tif", "wild type", 1],
        ["b.tif", "treated", 1],
    ]
    assert results(capsys, 0, *command, "--retry-failed")[1] == []
    assert len(calls) == 2


def test_another_model_in_use_is_another_setting(project, calls, capsys):
    assert main(["project", "everything", str(project), "--device", "cpu"]) == 0
    assert main(["project", "use", str(project), "nonsense"]) == 2
    assert "unknown model 'nonsense'" in capsys.readouterr().err
    Project(project).use_model("vit_t")
    assert main(["project", "everything", str(project), "--device", "cpu"]) == 2
    assert "model 'default', but model is 'vit_t'" in capsys.readouterr().err


def test_a_project_is_measured_in_its_images_and_only_what_has_changed_again(project, tmp_path, capsys):
    images = Project(project).images()
    with images[0].labels() as labels:
        labels.paint(np.ones((4, 5), int), (1, 1))
    assert results(capsys, 0, "measure", project)[1] == ["done"]  # the other has no objects
    measured = pd.read_csv(project / "measurements" / f"{images[0].image_id}.csv")
    pixels = tifffile.imread(tmp_path / "a.tif")
    assert measured.loc[0, "intensity_mean_0"] == pytest.approx(pixels[1:5, 1:6].mean())
    with images[1].labels() as labels:
        labels.paint(np.ones((4, 5), int), (1, 1))
    assert results(capsys, 0, "measure", project)[1] == ["skipped", "done"]
    (tmp_path / "b.tif").unlink()
    assert results(capsys, 1, "measure", project, "--properties", "area,intensity_mean")[1] == ["done", "failed"]


def test_an_image_that_is_no_movie_fails_alone(project, capsys):
    assert results(capsys, 1, "track", project, "--device", "cpu")[1] == ["failed", "failed"]
    assert pd.read_csv(project / "batch" / "track.csv")["error"].str.contains("time|axis|planes|stack").all()


def test_conditions_are_compared_image_by_image(project, tmp_path, capsys):
    for image, sizes in zip(Project(project).images(), ((4,), (4, 6)), strict=True):
        with image.labels() as labels:
            for number, size in enumerate(sizes, 1):
                labels.paint(np.full((size, size), number), (1, 10 * number))
    command = ("measure", project, "--by", "condition", "--out", tmp_path / "all.csv", "--properties", "area")
    result, _ = results(capsys, 0, *command)
    table = pd.read_csv(result["by"]).set_index("condition")
    assert table.loc["treated", ["images", "objects", "area_px"]].tolist() == [1, 2, 26]
    assert table.loc["wild type", ["images", "objects", "area_px"]].tolist() == [1, 1, 16]
    objects = pd.read_csv(tmp_path / "all.csv")
    assert objects[["image", "condition"]].to_numpy().tolist()[0] == ["a.tif", "wild type"]
    assert len(objects) == 3
    assert main(["project", "measure", str(project), "--by", "dose"]) == 2
    assert "--by is 'dose', which no image has as a column; choose from condition" in capsys.readouterr().err


def test_images_of_the_same_name_are_separate_samples_and_those_without_objects_count(tmp_path, rng, capsys):
    made = Project.create(tmp_path / "p")
    for number, sizes in enumerate(((4,), (6, 6, 6), ()), 1):
        folder = tmp_path / f"day{number}"
        folder.mkdir()
        tifffile.imwrite(folder / "a.tif", rng.integers(0, 255, (20, 60), dtype=np.uint8))
        (image,) = made.add(folder / "a.tif", condition="treated", well="A1").added
        assert image.name == "a.tif"
        with image.labels() as labels:
            for label, size in enumerate(sizes, 1):
                labels.paint(np.full((size, size), label), (1, 10 * label))
    command = ("measure", tmp_path / "p", "--by", "condition", "--out", tmp_path / "all.csv")
    (row,) = pd.read_csv(results(capsys, 0, *command)[0]["by"]).to_dict("records")
    assert (row["images"], row["objects"], row["area_px"]) == (3, 4, 26)
    assert row["objects_per_image"] == pytest.approx(4 / 3)
    assert pd.read_csv(tmp_path / "all.csv")["image_id"].nunique() == 2


def test_a_table_by_a_column_without_objects_and_one_that_only_unmeasured_images_have(project, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((20, 30), np.uint8))
    Project(project).add(tmp_path / "c.tif", dose="1")
    for image in Project(project).images()[:2]:
        with image.labels():
            pass
    result, _ = results(capsys, 0, "measure", project, "--by", "condition")
    assert pd.read_csv(result["by"])[["images", "objects"]].to_numpy().tolist() == [[1, 0], [1, 0]]
    assert main(["project", "measure", str(project), "--by", "dose"]) == 2
    assert "--by is 'dose', which no measured image has as a column" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("NA", "None"), ("1", "2"), ()])
def test_classes_stay_words_in_the_table_of_all_objects(project, tmp_path, capsys, names):
    with Project(project).images()[0].labels() as labels:
        for label in (1, 2):
            labels.paint(np.full((4, 4), label), (1, 10 * label))
        for label, name in enumerate(names, 1):
            labels.set_category(label, name)
    result, _ = results(capsys, 0, "measure", project, "--by", "condition", "--out", tmp_path / "all.csv")
    table = pd.read_csv(tmp_path / "all.csv", dtype=str, keep_default_na=False)
    assert table["category"].tolist() == list(names or ("", ""))
    assert "category" not in pd.read_csv(result["by"])


@pytest.mark.parametrize("name", ["image", "category", "state", "progress", "self"])
def test_a_column_of_the_tables_themselves_is_refused(project, tmp_path, capsys, name):
    for words in (("set", project, "a.tif"), ("add", project, tmp_path / "a.tif")):
        assert main(["project", *map(str, words), "--group", f"{name}=x"]) == 2
        assert f"column '{name}' is one of the tables' own" in capsys.readouterr().err
