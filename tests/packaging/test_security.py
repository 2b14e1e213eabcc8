"""What SECURITY.md promises of the code: no pickle of others is loaded, and no text is run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for package in ("napari_sam", "src_models") for path in sorted((ROOT / package).rglob("*.py"))]


def calls(text):
    """Return the calls in a source, as (dotted name, {keyword: constant})."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            words = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            found.append((ast.unparse(node.func), words))
    return found


def problems(text):
    """Return the calls that could run code from a file."""
    unsafe = {"eval", "exec", "pickle.load", "pickle.loads", "os.system", "yaml.load", "joblib.load", "torch.hub.load"}
    wanted = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
    wanted |= dict.fromkeys(("np.lib.format.read_array", "numpy.load"), ("allow_pickle", False))
    bad = []
    for name, words in calls(text):
        keyword, value = wanted.get(name, (None, None))
        if name in unsafe or words.get("shell") is True or words.get("trust_remote_code") is True:
            bad.append(name)
        elif keyword is not None and words.get(keyword) is not value:
            bad.append(name)
    return bad


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(path)",
        "torch.load(p, weights_only=False)",
        "np.load(p)",
        "pickle.load(f)",
        "eval('1')",
        "run(c, shell=True)",
    ],
)
def test_unsafe_calls_are_found(text):
    assert len(problems(text)) == 1


def test_no_file_of_others_can_run_code():
    assert len(SOURCES) > 500
    bad = {str(path.relative_to(ROOT)): problems(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: names for path, names in bad.items() if names} == {}


def test_the_only_unpickler_is_the_one_that_makes_arrays():
    derived = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if "pickle.Unpickler" in (text := path.read_text(encoding="utf-8")) and "Unpickler)" in text
    ]
    assert derived == ["napari_sam/io/prompts/formats/cellpose_masks.py"]


def test_registered_weights_come_by_https_and_have_a_published_hash():
    from src_models.checkpoints.registry import model_info, model_names

    infos = [model_info(name) for name in model_names()]
    infos += [info.decoder for info in infos if info.decoder is not None]
    downloaded = [info for info in infos if info.url is not None]
    assert downloaded
    assert all(info.url.startswith("https://") for info in downloaded)
    assert all(info.expected.digest is not None for info in downloaded)
