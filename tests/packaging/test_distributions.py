"""What the built distributions contain."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs the source tree")


def test_the_wheel_has_types_model_manifest_and_licences(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    assert {"napari_sam/py.typed", "src_models/py.typed", "napari_sam/napari.yaml"} <= names
    assert {"src_models/weights/default.safetensors", "src_models/weights/MODEL_CARD.md"} <= names
    assert any(name.endswith("licenses/src_models/weights/LICENSE.md") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def test_the_metadata_link_to_source_issues_and_changelog_and_show_pictures(built):
    with zipfile.ZipFile(built[0]) as wheel:
        text = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    metadata = message_from_string(text)
    urls = dict(value.split(", ", 1) for value in metadata.get_all("Project-URL"))
    assert {"Source", "Issues", "Changelog", "Documentation"} <= set(urls)
    assert "](docs/images" not in metadata.get_payload()


def test_the_version_has_one_source(built):
    text = (ROOT / "napari_sam/__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]
    assert f"-{version}-" in built[0].name
    assert built[1].name.endswith(f"-{version}.tar.gz")
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]


def test_the_readme_of_an_index_page_has_no_relative_links(built):
    with zipfile.ZipFile(built[0]) as wheel:
        text = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    readme = message_from_string(text).get_payload()
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert len(links) > 10
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    ours = [re.sub(r".*napari-sam-xl/(blob/)?main/|#.*", "", link) for link in links if "napari-sam-xl/main/" in link]
    ours += [re.sub(r".*/blob/main/|#.*", "", link) for link in links if "/blob/main/" in link]
    assert [path for path in ours if not (ROOT / path).exists()] == []


def test_the_sdist_has_everything_that_its_tests_read(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    needed = {"pyproject.toml", "docs/design/journal.md", "notebooks/click_to_mask.ipynb", "benchmarks/__init__.py"}
    needed |= {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")}
    assert needed <= names


def test_no_qt_binding_is_forced_on_users_who_have_another():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not any("pyqt" in requirement.lower() or "pyside" in requirement.lower() for requirement in extras["gui"])


def test_every_dependency_has_a_lower_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [requirement for requirement in project["dependencies"] if ">=" not in requirement] == []
