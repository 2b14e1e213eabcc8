"""Files for users, index pages and other package managers agree with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from napari_sam import __version__

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "CITATION.cff").is_file(), reason="needs the source tree")

OTHER_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}  # on conda-forge


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_yaml(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_citation_names_this_version_and_licence(project):
    citation = read_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert (citation["version"], citation["license"]) == (__version__, project["license"])
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]


def test_the_conda_recipe_needs_what_the_wheel_needs(project):
    recipe = read_yaml("recipe/recipe.yaml")
    needed = {}
    for requirement in recipe["requirements"]["run"]:
        name, _, bound = requirement.partition(" ")
        if name != "python":
            needed[OTHER_NAMES.get(name, name)] = bound
    expected = [*project["dependencies"], *project["optional-dependencies"]["gui"]]
    assert needed == {name: f">={bound}" for name, bound in (r.split(">=") for r in expected)}
    assert f">={recipe['context']['python_min']}" == project["requires-python"]


def test_the_conda_recipe_builds_this_version_with_its_command_and_licences(project):
    recipe = read_yaml("recipe/recipe.yaml")
    assert recipe["context"]["version"] == __version__
    assert recipe["build"]["python"]["entry_points"] == [f"{k} = {v}" for k, v in project["scripts"].items()]
    assert recipe["about"]["license_file"] == project["license-files"]
    assert (ROOT / "recipe" / recipe["source"]["path"] / "pyproject.toml").is_file()


def test_the_dockerfile_copies_what_exists_and_all_that_the_build_reads(project):
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]}
    assert all((ROOT / path).exists() for path in copied)
    assert {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "napari_sam", "src_models"} <= copied
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert not copied & ignored
    extras = re.search(r"'\.\[(.+)\]'", "\n".join(lines))[1].split(",")
    assert set(extras) <= set(project["optional-dependencies"])


def test_ci_covers_three_systems_and_every_python_that_is_declared(project):
    jobs = read_yaml(".github/workflows/test.yml")["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert matrix["python"] == declared
    assert [os.split("-")[0] for os in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert jobs["install"]["strategy"]["matrix"]["os"] == matrix["os"]


def test_scripts_that_ci_runs_exist():
    text = "".join(path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml"))
    scripts = set(re.findall(r"\.ci/[\w-]+(?:\.py)?", text))
    assert len(scripts) >= 2
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


def test_the_napari_hub_gets_a_summary_of_the_length_that_it_shows():
    config = read_yaml(".napari-hub/config.yml")
    assert 0 < len(config["summary"]) <= 200
    assert config["visibility"] == "public"
    assert config["labels"]["ontology"].startswith("EDAM-BIOIMAGING")


def test_the_manifest_is_valid_for_npe2():
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(ROOT / "napari_sam" / "napari.yaml")
    manifest.validate_imports()
    assert manifest.name == "napari-sam-xl"
