"""A network with its name: what is known of it, and its dense decoder."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.errors import PromptError
from src_models import build_sam


def _model(name="mine.pth", has_dense=False, **known):
    return LoadedModel(name, SimpleNamespace(kind="vit_b", has_dense=has_dense, attach_dense=None), "sha", **known)


def test_a_network_is_named_by_its_kind_and_cannot_be_loaded_by_name():
    model = LoadedModel.load(build_sam("vit_t"), "cpu")
    assert (model.name, model.kind, model.is_named, model.uses_hypotheses) == ("vit_t", "vit_t", False, False)
    assert len(model.weights) == 64


@pytest.mark.parametrize(
    ("name", "has_dense", "expected"),
    [("mine.pth", True, True), ("mine.pth", False, False), ("vit_b", False, False), ("vit_b_lm", False, True)],
)
def test_a_dense_decoder_is_there_or_can_be_downloaded(name, has_dense, expected):
    assert _model(name, has_dense).has_dense_decoder is expected


def test_an_unnamed_network_has_no_decoder_to_download():
    assert not _model("vit_b_lm", is_named=False).has_dense_decoder


@pytest.mark.parametrize("name", ["vit_b", "not-there.pth"])
def test_a_model_without_a_dense_decoder_is_refused_by_name(name):
    with pytest.raises(PromptError, match=rf"'{name}' has no dense decoder") as error:
        _model(name).load_dense_decoder()
    assert error.value.parameter == "model"


def test_a_present_decoder_is_left_alone():
    _model(has_dense=True).load_dense_decoder()
