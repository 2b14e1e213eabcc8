"""The engine with networks that know the truth, and with the shipped one."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from napari_sam import Predictor
from napari_sam.engine.interactive.prediction import stability_scores
from napari_sam.engine.interactive.rendering import upsample_masks
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError, DeviceError, NoImageError, PromptError
from src_models.networks.mask_decoder import DecodedMasks


class PerfectRunner:
    """A network that answers with the object under the first prompt, as the window shows it.

    The "embedding" is the window's pixels: the image must hold object ids.
    """

    kind, img_size, device, dtype = "perfect", 512, torch.device("cpu"), torch.float32
    has_dense = has_judge = False
    one_window = staticmethod(nullcontext)

    def __init__(self):
        self.encoded = 0

    def encode(self, images):
        self.encoded += 1
        image = torch.from_numpy(images[0][..., 0].astype(np.float32))
        padded = torch.zeros(512, 512)
        padded[: image.shape[0], : image.shape[1]] = image
        return torch.nn.functional.pixel_unshuffle(padded.view(1, 1, 512, 512), 8)  # (1, 64, 64, 64)

    def decode(self, embedding, prompts, masks=None, multimask=True, network_shape=None):
        ids = torch.nn.functional.pixel_shuffle(embedding, 8)[0, 0]
        low = ids[::2, ::2]
        out = []
        for coords, labels in prompts:
            at = coords.mean(0) if 2 in labels else coords[0]
            wanted = ids[int(np.clip(at[1], 0, 511)), int(np.clip(at[0], 0, 511))]
            out.append(torch.where(low == wanted, 10.0, -10.0))
        logits = torch.stack(out)[:, None].repeat(1, 3 if multimask else 1, 1, 1)
        return DecodedMasks(logits, torch.full(logits.shape[:2], 0.9))


@pytest.fixture
def perfect():
    """A predictor whose network makes no mistakes."""
    return Predictor(LoadedModel("perfect", PerfectRunner(), "perfect"), tidy=True)


def _iou(prediction, truth):
    found = prediction.full_mask(truth.shape)
    return (found & truth).sum() / (found | truth).sum()


def _disc(shape, y, x, radius):
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    return (yy - y) ** 2 + (xx - x) ** 2 <= radius**2


@pytest.mark.parametrize("radius", [12, 60, 200, 900])
@pytest.mark.parametrize("at", [(2000, 2000), (1792, 2048), (1920, 1920), (40, 3000)])
def test_no_window_border_is_ever_visible(perfect, at, radius):
    truth = _disc((4000, 4000), *at, radius)
    perfect.set_image(truth.astype(np.uint8))
    p = perfect.predict(points=[at])
    assert _iou(p, truth) > (0.97 if radius > 20 else 0.9)
    assert radius < 256 or len(p.levels) > 1


def test_prompts_far_apart_choose_one_window_that_holds_them(perfect):
    truth = _disc((4000, 4000), 2000, 2000, 1800)
    perfect.set_image(truth.astype(np.uint8))
    p = perfect.predict(points=[(500, 2000), (3500, 2000), (20, 20)], point_labels=[1, 1, 0])
    assert p.window.holds((20, 20, 3500, 2000))
    assert _iou(p, truth) > 0.97


def test_a_window_is_encoded_once_for_many_objects(perfect):
    image = np.zeros((3000, 3000), np.uint8)
    for i in range(8):
        image[1000 + 20 * i : 1010 + 20 * i, 1000:1010] = i + 1
    perfect.set_image(image)
    found = perfect.predict_many([{"points": [(1005 + 20 * i, 1005)]} for i in range(8)])
    assert perfect.runner.encoded == 1
    assert [p.bbox[0] for p in found] == [1000 + 20 * i for i in range(8)]


def test_only_a_window_of_a_huge_image_is_read(perfect):
    class Huge:
        shape, dtype, ndim, read = (100_000, 100_000), np.dtype(np.uint8), 2, 0

        def __getitem__(self, index):
            y, x = (np.arange(100_000)[s] for s in index)
            Huge.read += len(y) * len(x)
            return (y[:, None] // 100 + x // 100).astype(np.uint8)  # diagonal stairs of ids

    perfect.set_image(Huge())
    perfect.embed(perfect.window_for(points=[(70_000, 31_000)]))
    assert Huge.read == 512 * 512


def test_an_object_too_large_for_a_mask_is_refused_with_the_limit_and_the_remedy(perfect):
    perfect.set_image(np.broadcast_to(np.zeros(1, np.uint8), (60_000, 60_000)))
    with pytest.raises(PromptError, match=r"object at \(30000, 30000\) spans 32768 x 32768 .*16384.*background point"):
        perfect.predict(points=[(30_000, 30_000)])
    assert perfect.runner.encoded == 7  # 512, 1024 ... 32768


def test_mask_pixels_are_those_of_a_direct_interpolation(rng):
    logits = rng.normal(size=(1, 256, 256)).astype(np.float32)
    logits = np.repeat(np.repeat(logits[:, ::16, ::16], 16, 1), 16, 2)
    window = Window((0, 0, 303, 384), 1024)
    masks, (y0, x0, y1, x1) = upsample_masks(logits, window)
    big = torch.nn.functional.interpolate(torch.from_numpy(logits)[None], (1024, 1024), mode="bilinear")
    want = torch.nn.functional.interpolate(big[..., :808, :1024], (303, 384), mode="bilinear")[0].numpy() > 0
    assert (masks != want[:, y0:y1, x0:x1]).mean() < 0.003
    assert want.sum() == pytest.approx(masks.sum(), rel=0.002)


def test_stability_of_an_empty_mask_is_zero():
    assert stability_scores(np.full((1, 4, 4), -30, np.float32)).tolist() == [0.0]


def test_one_click_segments_an_object(default_predictor, nuclei):
    image, labels = nuclei
    default_predictor.set_image(image)
    p = default_predictor.predict(points=[(121, 182)])
    assert p.masks.shape[0] == len(p.predicted_iou) == len(p.stability_score) == 3
    assert p.best == int(p.predicted_iou.argmax())
    assert _iou(p, labels == labels[121, 182]) > 0.7
    again = default_predictor.predict(points=[(121, 182)], mask=p, multimask=False)
    assert again.masks.shape[0] == 1


def test_a_window_of_a_larger_image_gives_the_object_too(default_predictor, nuclei):
    image = np.zeros((3000, 3000), np.uint8)
    image[1200:1712, 900:1540] = nuclei[0]
    truth = np.zeros(image.shape, bool)
    truth[1200:1712, 900:1540] = nuclei[1] == nuclei[1][121, 182]
    default_predictor.set_image(image)
    ys, xs = np.nonzero(truth)
    p = default_predictor.predict(box=(ys.min(), xs.min(), ys.max() + 1, xs.max() + 1))
    assert _iou(p, truth) > 0.7
    assert max(p.window.shape) < 600


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1), np.uint8),
        np.zeros((100, 1), np.uint16),
        np.full((50, 60), 7.5),
        np.full((30, 30, 3), np.nan, np.float32),
        np.where(np.eye(40) > 0, np.nan, 1.0),
        np.eye(40, dtype=bool),
        np.zeros((20, 20, 2), np.int32),
        np.zeros((20, 20, 5), np.float64),
    ],
)
def test_odd_images_are_answered(default_predictor, image):
    default_predictor.set_image(image)
    p = default_predictor.predict(points=[(0, 0)])
    assert np.isfinite(p.low_res_logits).all()


def test_sixteen_bit_is_stretched_once_for_the_whole_image(default_predictor, nuclei):
    image = nuclei[0].astype(np.uint16) * 200 + 1000
    default_predictor.set_image(image)
    low, high = default_predictor.normalisation.low[0], default_predictor.normalisation.high[0]
    assert low == pytest.approx(1000, abs=201)
    assert np.percentile(image, 99) < high <= image.max()
    pixels = default_predictor.pixels(Window((0, 0, 100, 100), 512))
    assert pixels.shape == (512, 512, 3)


def test_a_prompt_before_an_image_is_refused_with_the_remedy(default_predictor):
    fresh = Predictor(default_predictor.embedder.model)
    with pytest.raises(NoImageError, match="set_image"):
        fresh.predict(points=[(1, 1)])


def test_a_bad_prompt_among_many_is_named_and_nothing_is_computed(perfect):
    perfect.set_image(np.zeros((50, 50), np.uint8))
    with pytest.raises(PromptError, match=r"prompt 1: .*outside"):
        perfect.predict_many([{"points": [(1, 1)]}, {"points": [(99, 1)]}])
    with pytest.raises(PromptError, match="'pionts'"):
        perfect.predict_many([{"pionts": [(1, 1)]}])
    assert perfect.runner.encoded == 0


def test_logits_of_another_model_are_refused(default_predictor):
    default_predictor.set_image(np.zeros((50, 50), np.uint8))
    with pytest.raises(PromptError, match="256 x 256"):
        default_predictor.predict(points=[(5, 5)], mask=np.zeros((64, 64)))


def test_cancelling_stops_before_the_work(perfect):
    perfect.set_image(np.zeros((50, 50), np.uint8))
    with pytest.raises(CancelledError):
        perfect.predict(points=[(5, 5)], cancelled=lambda: True)
    assert perfect.runner.encoded == 0


def test_progress_counts_objects(perfect):
    perfect.set_image(np.zeros((50, 50), np.uint8))
    seen = []
    perfect.predict_many([{"points": [(5, 5)]}] * 3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]


def test_embeddings_of_another_image_or_contrast_are_not_used(perfect):
    first, second = np.zeros((50, 50), np.uint8), np.ones((50, 50), np.uint8)
    perfect.set_image(first)
    perfect.predict(points=[(5, 5)])
    perfect.predict(points=[(6, 5)])
    assert perfect.runner.encoded == 1
    perfect.set_image(second)
    perfect.predict(points=[(5, 5)])
    assert perfect.runner.encoded == 2


def test_an_unknown_device_is_refused():
    with pytest.raises(DeviceError):
        Predictor(device="abacus")
