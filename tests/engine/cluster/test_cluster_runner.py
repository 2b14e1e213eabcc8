"""Images encoded on a worker of a Dask cluster."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

import napari_sam as ns
from napari_sam import samples
from napari_sam.engine.cluster import cluster_runner
from napari_sam.errors import SettingsError
from src_models.runtime import Runner
from tests.clusters import client_of_one_worker

pytest.importorskip("distributed")


@pytest.fixture
def client():
    """A client of a worker in this process."""
    with client_of_one_worker(processes=False) as opened:
        yield opened


@pytest.fixture
def encoded(monkeypatch):
    """Where images were encoded."""
    places, encode = [], Runner.encode

    def note(self, images):
        places.append("there" if type(self) is Runner else "here")
        return encode(self, images)

    monkeypatch.setattr(Runner, "encode", note)
    monkeypatch.setattr(cluster_runner, "_runners", {})
    return places


def _crop():
    return np.repeat(samples.nuclei()[:128, :128, None], 3, axis=2)


def test_a_click_gets_the_mask_of_a_worker_s_embedding(client, encoded):
    image, point = samples.nuclei()[:256, :256], (100.0, 60.0)
    predictions = []
    for predictor in (ns.Predictor(device="cpu", client=client), ns.Predictor(device="cpu")):
        predictor.set_image(image)
        predictions.append(predictor.predict(points=[point]))
        encoded.append("next")
    assert set(encoded[: encoded.index("next")]) == {"there"}
    np.testing.assert_array_equal(predictions[0].mask, predictions[1].mask)
    np.testing.assert_allclose(predictions[0].predicted_iou, predictions[1].predicted_iou, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_embeddings_have_the_precision_of_this_process(client, precision):
    predictor = ns.Predictor(device="cpu", precision=precision, client=client)
    embedding = predictor.runner.encode([_crop()])
    assert embedding.dtype is predictor.runner.dtype
    assert embedding.shape == (1, 256, 64, 64)
    assert torch.isfinite(embedding).all()


def test_without_a_worker_images_are_encoded_here_until_one_comes(client, encoded, caplog):
    runner, image = ns.Predictor(device="cpu", client=client).runner, _crop()
    runner.encode([image])
    client.cluster.scale(0)
    while client.scheduler_info()["workers"]:
        time.sleep(0.01)
    for _ in range(2):
        runner.encode([image])
    assert [record.message for record in caplog.records if record.name == cluster_runner.__name__] == [
        "the cluster has no worker that answers: images are encoded in this process"
    ]
    client.cluster.scale(1)
    client.wait_for_workers(1)
    runner.encode([image])
    assert encoded == ["there", "here", "here", "there"]


def test_what_is_no_client_is_refused():
    with pytest.raises(SettingsError, match="client is 'tcp://host:8786'"):
        ns.Predictor(device="cpu", client="tcp://host:8786")
