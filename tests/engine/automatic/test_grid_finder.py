"""Grid mode: every filter by hand, and the whole against a plain generator written from the paper's description."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from napari_sam.engine.automatic.grid_filters import (
    box_nms,
    crop_boxes,
    cut_by_crop,
    flatten_masks,
    point_grid,
    without_small_regions,
)
from napari_sam.engine.automatic.grid_finder import GridFinder, region_windows, window_frame
from napari_sam.engine.automatic.grid_logits import MaskCandidate, MaskFrame, measure_candidate, upsample_candidate
from napari_sam.engine.automatic.grid_masks import (
    WindowMask,
    _may_be_stable,
    _PointCover,
    clean_masks,
    decode_points,
    filter_masks,
)
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.mask_generator import MaskGenerator
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError, ImageError, PromptError, SettingsError
from napari_sam.predictor import Predictor
from napari_sam.samples import nuclei, nuclei_labels
from src_models.checkpoints.checkpoint_files import load_sam
from src_models.networks.point_decoder import PointDecoder
from src_models.runtime import Runner

LOOSE = GridSettings(points_per_side=5, pred_iou_thresh=0.3, stability_score_thresh=0.2)
VIEW = np.s_[60:400, 100:520]
CROPS = GridSettings(
    points_per_side=4,
    pred_iou_thresh=0.3,
    stability_score_thresh=0.2,
    crop_n_layers=1,
    crop_n_points_downscale_factor=2,
)


@pytest.fixture(scope="module")
def predictor():
    return Predictor("default", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def found(predictor):
    return MaskGenerator(predictor, LOOSE).generate(nuclei()[VIEW])


class PlainGenerator:
    """SAM's automatic masks without any haste: everything at full resolution, one prompt at a time."""

    def __init__(self, net, settings):
        self.net, self.s = net.eval(), settings

    def generate(self, image):
        rgb = np.repeat(image[..., None], 3, -1)
        found = []
        for crop, layer in self.crops(image.shape):
            found.append(
                self.in_crop(rgb, crop, int(self.s.points_per_side / self.s.crop_n_points_downscale_factor**layer))
            )
        masks = [one for some in found for one in some]
        if len(found) > 1:
            masks = self.nms(masks, [1 / ((c[2] - c[0]) * (c[3] - c[1])) for _, _, c in masks], self.s.crop_nms_thresh)
        return [mask for mask, _, _ in masks]

    def crops(self, shape):
        out, short = [((0, 0, *shape), 0)], min(shape)
        for layer in range(1, self.s.crop_n_layers + 1):
            n = 2**layer
            overlap = int(self.s.crop_overlap_ratio * short * 2 / n)
            h, w = (math.ceil((overlap * (n - 1) + size) / n) for size in shape)
            for i in range(n):
                for j in range(n):
                    y, x = i * (h - overlap), j * (w - overlap)
                    out.append(((y, x, min(y + h, shape[0]), min(x + w, shape[1])), layer))
        return out

    @torch.no_grad()
    def in_crop(self, rgb, crop, per_side):
        y0, x0, y1, x1 = crop
        h, w = y1 - y0, x1 - x0
        size = self.net.img_size
        nh, nw = (int(n * size / max(h, w) + 0.5) for n in (h, w))
        scaled = np.asarray(Image.fromarray(rgb[y0:y1, x0:x1]).resize((nw, nh), Image.Resampling.BILINEAR))
        embedding = self.net.image_encoder(self.net.preprocess(torch.from_numpy(scaled.copy()).permute(2, 0, 1)[None]))
        kept = []
        for row in range(per_side):
            for col in range(per_side):
                xy = torch.tensor([[(col + 0.5) / per_side * nw, (row + 0.5) / per_side * nh], [0, 0]])
                decoded = self.net.decode(embedding, xy[None].float(), torch.tensor([[1, -1]]))
                up = torch.nn.functional.interpolate(decoded.logits, (size, size), mode="bilinear", align_corners=False)
                up = torch.nn.functional.interpolate(up[..., :nh, :nw], (h, w), mode="bilinear", align_corners=False)[0]
                for logits, iou in zip(up.numpy(), decoded.predicted_iou[0].tolist(), strict=True):
                    full = self.passing(logits, iou, crop, rgb.shape)
                    kept += [] if full is None else [(full, iou, crop)]
        return self.nms(kept, [iou for _, iou, _ in kept], self.s.box_nms_thresh)

    def passing(self, logits, iou, crop, shape):
        strict, loose = (logits > self.s.stability_score_offset).sum(), (logits > -self.s.stability_score_offset).sum()
        if iou <= self.s.pred_iou_thresh or not loose or strict / loose < self.s.stability_score_thresh:
            return None
        full = np.zeros(shape[:2], bool)
        full[crop[0] : crop[2], crop[1] : crop[3]] = logits > 0
        if not full.any():
            return None
        limits = zip(self.box(full), crop, (0, 0, *shape[:2]), strict=True)
        return None if any(abs(b - c) <= 20 < abs(b - i) for b, c, i in limits) else full

    @staticmethod
    def box(mask):
        ys, xs = np.nonzero(mask)
        return ys.min(), xs.min(), ys.max(), xs.max()

    def nms(self, found, scores, threshold):
        kept = []
        for i in sorted(range(len(found)), key=lambda i: -scores[i]):
            if all(iou_of(self.box(found[i][0]), self.box(found[k][0])) <= threshold for k in kept):
                kept.append(i)
        return [found[i] for i in kept]


def iou_of(a, b):
    """IoU of two boxes whose corners count as points."""
    height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(height, 0) * max(width, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union else 0.0


def matched(masks, others):
    """Share of `masks` that have one of `others` with IoU >= 0.95."""
    hits = [any((m & o).sum() >= 0.95 * (m | o).sum() for o in others) for m in masks]
    return sum(hits) / len(hits)


def frame_of(logits, size=None):
    side = logits.shape[-1]
    return MaskFrame(size or (4 * side, 4 * side), (4.0 * side, 4.0 * side), 4 * side, side)


def disc(side, radius, middle=None, steep=1.0):
    y, x = np.mgrid[:side, :side] + 0.5
    cy, cx = middle or (side / 2, side / 2)
    return torch.from_numpy((steep * (radius - np.hypot(y - cy, x - cx))).astype(np.float32))


def candidate(logits, iou=0.9, point=0):
    return MaskCandidate(logits, (0, 0), iou, point)


# --- against the plain generator ---------------------------------------------------------------------------------


def test_default_model_gives_the_masks_of_the_plain_generator(found):
    reference = PlainGenerator(load_sam("default"), LOOSE).generate(nuclei()[VIEW])
    assert len(reference) >= 15
    ours = [one.full_mask((340, 420)) for one in found]
    misses = (1 - matched(reference, ours)) * len(reference)
    assert misses < 1.5  # a box at the very threshold of NMS may fall on either side on another processor
    assert len(ours) <= len(reference) + 1


def test_crop_layers_give_the_masks_of_the_plain_generator(predictor):
    image = nuclei()[100:360, 150:500]
    reference = PlainGenerator(load_sam("default"), CROPS).generate(image)
    ours = MaskGenerator(predictor, CROPS).generate(image)
    assert len(reference) >= 5
    misses = (1 - matched(reference, [one.full_mask(image.shape) for one in ours])) * len(reference)
    assert misses < 1.5
    assert len({one.crop_box for one in ours}) > 1


# --- records -----------------------------------------------------------------------------------------------------


def test_records_say_where_and_how_good(found):
    for one in found:
        y0, x0, y1, x1 = one.bbox
        assert one.mask.shape == (y1 - y0, x1 - x0)
        assert one.area == one.mask.sum()
        assert one.mask[0].any()
        assert one.mask[:, -1].any()
        assert one.predicted_iou > 0.3
        assert LOOSE.stability_score_thresh <= one.stability_score <= 1
        assert one.crop_box == (0, 0, 340, 420)


def test_points_are_the_middles_of_cells_in_image_pixels(found):
    for one in found:
        cells = one.point[0] * 5 / 340 - 0.5, one.point[1] * 5 / 420 - 0.5
        assert cells == pytest.approx(np.round(cells), abs=1e-6)


def test_best_mask_comes_first(found):
    scores = [one.predicted_iou for one in found]
    assert scores == sorted(scores, reverse=True)


def test_one_channel_and_grey_rgb_are_the_same_image(predictor):
    image = nuclei()[:200, :200]
    settings = GridSettings(points_per_side=5, pred_iou_thresh=0.3, stability_score_thresh=0.5)
    answers = [
        MaskGenerator(predictor, settings).generate(given)
        for given in (image, image[..., None], np.repeat(image[..., None], 3, -1))
    ]
    assert answers[0]
    assert answers[0] == answers[1] == answers[2]


def test_without_masks_the_list_is_empty_even_with_crops(predictor):
    settings = GridSettings(points_per_side=1, pred_iou_thresh=1.0, crop_n_layers=1, min_mask_region_area=9)
    assert MaskGenerator(predictor, settings).generate(np.zeros((40, 50), np.uint8)) == []


@pytest.mark.parametrize("image", [np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((4, 4))])
def test_what_is_no_8_bit_image_is_refused(predictor, image):
    with pytest.raises(ImageError, match=r"image (has the shape|is of type)"):
        MaskGenerator(predictor).generate(image)


def test_cancelling_stops_between_batches(predictor):
    with pytest.raises(CancelledError):
        MaskGenerator(predictor).generate(np.zeros((8, 8), np.uint8), cancelled=lambda: True)


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points_per_side", 0),
        ("points_per_side", 2.5),
        ("points_per_side", True),
        ("points_per_batch", 0),
        ("pred_iou_thresh", 1.5),
        ("pred_iou_thresh", math.nan),
        ("stability_score_offset", -1.0),
        ("crop_n_layers", 7),
        ("crop_overlap_ratio", 1.0),
        ("max_cover", 0.0),
    ],
)
def test_senseless_settings_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=name):
        GridSettings(**{name: value})


def test_layers_without_points_are_refused():
    with pytest.raises(SettingsError, match="layer 3"):
        GridSettings(points_per_side=4, crop_n_layers=3, crop_n_points_downscale_factor=2)


def test_crops_of_the_second_layer_are_sixteen_and_cover_the_image():
    crops = [box for box, layer in crop_boxes((300, 500), 2, 512 / 1500) if layer == 2]
    seen = np.zeros((300, 500), int)
    for y0, x0, y1, x1 in crops:
        seen[y0:y1, x0:x1] += 1
    assert len(crops) == 16
    assert seen.min() >= 1


def test_points_of_the_grid_are_cell_middles_row_by_row():
    assert point_grid(4)[5].tolist() == [0.375, 0.375]


# --- filters -----------------------------------------------------------------------------------------------------


def test_nms_agrees_with_a_naive_one():
    rng = np.random.default_rng(3)
    corners = rng.integers(0, 60, (200, 2))
    boxes = np.hstack([corners, corners + rng.integers(1, 40, (200, 2))])
    scores = rng.integers(0, 30, 200) / 30  # with ties
    kept = []
    for i in sorted(range(200), key=lambda i: -scores[i]):
        last = boxes - [0, 0, 1, 1]
        if all(iou_of(last[i], last[k]) <= 0.4 for k in kept):
            kept.append(i)
    assert box_nms(boxes, scores, 0.4).tolist() == kept


def test_nms_of_no_boxes_is_empty():
    assert box_nms(np.zeros((0, 4), int), np.zeros(0), 0.7).tolist() == []


def test_masks_near_a_crop_edge_inside_the_image_are_cut_by_it():
    crop, whole = (0, 100, 200, 300), (0, 0, 200, 1000)
    boxes = np.array([[0, 121, 200, 280], [50, 120, 90, 200], [50, 130, 90, 281], [50, 130, 90, 280]])
    assert cut_by_crop(boxes, crop, whole).tolist() == [False, True, True, False]


def test_small_holes_are_filled_and_small_parts_dropped_diagonals_count():
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = True
    mask[1, 1] = mask[2, 2] = False  # one hole of two pixels, joined by a corner
    mask[6, 6] = mask[7, 7] = True  # one part of two pixels
    tidy, changed = without_small_regions(mask, 3)
    assert changed
    assert tidy[:4, :4].all()
    assert tidy.sum() == 16
    assert not without_small_regions(mask, 2)[1]


def test_of_parts_that_are_all_small_the_largest_stays():
    mask = np.array([[1, 1, 0, 0, 1]], bool)
    assert without_small_regions(mask, 9)[0].tolist() == [[True] * 5]  # the gap is a small hole: filled first
    wide = np.zeros((1, 40), bool)
    wide[0, [0, 1, 30]] = True
    assert np.flatnonzero(without_small_regions(wide, 9)[0][0]).tolist() == [0, 1]


def window_mask(mask, y=0, x=0, iou=0.9):
    return WindowMask(mask, (y, x, y + mask.shape[0], x + mask.shape[1]), iou, 1.0, 0)


def test_after_tidying_the_mask_that_needed_none_wins():
    holed = np.ones((9, 9), bool)
    holed[4, 4] = False
    masks = [window_mask(holed), window_mask(np.ones((9, 9), bool), x=1)]
    boxes = np.array([one.box for one in masks])
    kept = clean_masks(masks, boxes, (0, 0, 50, 50), GridSettings(min_mask_region_area=4))
    assert [i for i, _, _ in kept] == [1]


def test_the_background_around_an_object_is_no_hole():
    mask = np.ones((5, 5), bool)
    settings = GridSettings(min_mask_region_area=20)
    ((_, same, box),) = clean_masks([window_mask(mask, 3, 3)], np.array([[3, 3, 8, 8]]), (0, 0, 30, 30), settings)
    assert box == (3, 3, 8, 8)
    assert same.all()
    ((_, grown, box),) = clean_masks([window_mask(mask, 3, 0)], np.array([[3, 0, 8, 5]]), (0, 0, 30, 5), settings)
    assert box == (0, 0, 8, 5)  # the image ends three rows above: fifteen pixels of background, a small hole
    assert grown.shape == (8, 5)


def test_a_low_res_bound_never_drops_a_mask_that_is_stable_when_enlarged():
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(60, 32, 32)), (0, 3, 3))
    logits = torch.from_numpy((noise / noise.std() * rng.uniform(0.5, 20, (60, 1, 1)) + 1).astype(np.float32))
    frame = frame_of(logits, (100, 131))
    for threshold in (0.5, 0.8, 0.95):
        may = _may_be_stable(logits, frame, GridSettings(stability_score_thresh=threshold)).numpy()
        exact = [measure_candidate(candidate(one), frame, 1.0) for one in logits]
        stable = np.array([one is not None and one.stability_score >= threshold for one in exact])
        assert not (stable & ~may).any()
    assert (~may).any()


def test_enlarging_a_part_is_the_enlarged_whole():
    logits = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    frame = frame_of(logits, (50, 70))
    wanted = torch.nn.functional.interpolate(logits[None, None], (50, 70), mode="bilinear", align_corners=False)[0, 0]
    whole = upsample_candidate(candidate(logits), frame, (0, 0, 50, 70))[1]
    part = upsample_candidate(MaskCandidate(logits[4:9, 3:12], (4, 3), 1.0, 0), frame)
    y0, x0, y1, x1 = part[0]
    assert torch.allclose(whole, wanted, atol=1e-5)
    assert torch.allclose(part[1], wanted[y0:y1, x0:x1], atol=1e-5)
    assert y1 - y0 > 10


def test_a_disc_is_measured_at_full_resolution():
    one = measure_candidate(candidate(disc(32, 8.0)), frame_of(disc(32, 8.0)), 1.0)
    assert one.area == pytest.approx(math.pi * 32**2, rel=0.01)
    assert one.stability_score == pytest.approx((7 / 9) ** 2, abs=0.01)
    assert one.box == pytest.approx((32, 32, 96, 96), abs=1)


def test_an_empty_mask_is_dropped_without_dividing_by_zero():
    nothing = torch.full((1, 16, 16), -5.0)
    assert measure_candidate(candidate(nothing[0]), frame_of(nothing), 1.0) is None
    assert not _may_be_stable(nothing, frame_of(nothing), GridSettings(stability_score_thresh=0.0)).any()


def test_masks_that_cover_the_window_are_dropped_on_request():
    full = torch.full((16, 16), 9.0)
    covering = [candidate(full)]
    assert len(filter_masks(covering, frame_of(full), GridSettings())) == 1
    assert filter_masks(covering, frame_of(full), GridSettings(max_cover=0.95)) == []


def test_of_two_masks_with_one_box_the_better_stays():
    logits = disc(32, 8.0, steep=20.0)
    kept = filter_masks([candidate(logits, 0.89, 1), candidate(logits, 0.95, 2)], frame_of(logits), GridSettings())
    assert [one.point for one in kept] == [2]


def test_larger_masks_lie_below_and_hidden_ones_get_no_number():
    big, small = np.ones((4, 4), bool), np.ones((2, 2), bool)
    labels, kept = flatten_masks((4, 6), [(small, (1, 1)), (big, (0, 0)), (small, (1, 1)), (small, (-5, 0))])
    assert labels[1, 1] == 2
    assert labels[0, 0] == 1
    assert kept.tolist() == [1, 2]  # of the two small ones the later lies on top
    assert labels.max() == 2


# --- the decoder -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [(1.0, 2.0), (256.0, 256.0), (511.0, 90.0)])
def test_point_decoder_agrees_with_the_mask_decoder(predictor, where):
    runner = predictor.runner
    embedding = runner.encode([np.repeat(nuclei()[:, :512, None], 3, -1)])
    asked = np.array([where, (300.0, 123.0)], np.float32)
    wanted = runner.decode(embedding, [(one[None], np.array([1])) for one in asked])
    decoder = PointDecoder(runner.net, runner.dtype, embedding)
    state = decoder.decode_tokens(torch.from_numpy(asked))
    logits = decoder.masks(state, torch.tensor([1, 0])).flip(0)
    assert torch.allclose(state.predicted_iou[:, 1:], wanted.predicted_iou, atol=1e-4)
    assert float((logits - wanted.logits).abs().max()) < 0.02  # of logits from about -20 to 20


def test_points_in_a_confident_mask_of_some_size_are_left_out():
    frame, points = frame_of(disc(32, 6.0)), np.array([[64.0, 64.0], [64.0, 100.0], [5.0, 5.0]])
    waiting, settings = np.arange(3), GridSettings(skip_covered=True)
    steep, soft, large = disc(32, 6.0, steep=50.0), disc(32, 6.0, steep=1.0), disc(32, 20.0, steep=50.0)
    remaining = []
    for logits in (steep, soft, large):
        cover = _PointCover(frame, points)
        cover.add([candidate(logits)], settings)
        remaining.append(cover.uncovered(waiting).tolist())
    assert remaining == [[1, 2], [0, 1, 2], [0, 1, 2]]


def test_every_point_is_decoded_or_covered_by_a_mask(predictor):
    embedding = predictor.runner.encode([np.repeat(nuclei()[:512, :512, None], 3, -1)])
    settings = GridSettings(pred_iou_thresh=0.3, stability_score_thresh=0.5, skip_covered=True, points_per_batch=4)
    points = point_grid(3) * 512
    some, all_ = (
        decode_points(
            predictor.runner, embedding, points, MaskFrame((512, 512), (512.0, 512.0), 512, 256), one, nullcontext
        )
        for one in (settings, replace(settings, skip_covered=False))
    )
    assert [one.point for one in some] == sorted(one.point for one in some)
    assert {one.point for one in some} <= {one.point for one in all_}


# --- regions -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finder(predictor):
    predictor.set_image(nuclei())
    return GridFinder(predictor, LOOSE)


def objects(finder, region, factor=1):
    return finder.finish(region, factor, finder.compute(region, factor, finder.read(region, factor)))


@pytest.mark.parametrize(
    ("region", "factor"),
    [((0, 0, 512, 640), 1), ((300, 400, 512, 640), 1), ((10, 20, 331, 424), 2)],
)
def test_labels_have_the_regions_shape_and_numbers_without_gaps(finder, region, factor):
    got = objects(finder, region, factor)
    shape = (-(-(region[2] - region[0]) // factor), -(-(region[3] - region[1]) // factor))
    assert got.labels.shape == shape
    assert got.labels.dtype == np.int32
    assert np.unique(got.labels).tolist() == list(range(len(got.predicted_iou) + 1))
    assert len(got.stability_score) == len(got.predicted_iou) > 0


def test_a_region_of_one_window_has_the_masks_of_the_generator(finder, predictor):
    image = nuclei()[:512, :512]
    masks = MaskGenerator(predictor, finder.grid).generate(image)
    predictor.set_image(image)
    labels = objects(finder, (0, 0, 512, 512)).labels
    predictor.set_image(nuclei())
    assert np.array_equal(labels, flatten_masks((512, 512), [(one.mask, one.bbox[:2]) for one in masks])[0])


def seen_rightly(finder, monkeypatch, region, factor):
    """Labels by a network that sees the true nuclei in every window."""
    windows = iter([one.window for one in finder.read(region, factor)])

    def ask(runner, embedding, points, frame, *_):
        window, truth, out = next(windows), nuclei_labels(), []
        at = (np.arange(frame.side) + 0.5) * (frame.img_size / frame.side) - 0.5
        rows, cols = window.from_network(np.stack([at, at], 1)).round().astype(int).T
        inside = np.ix_(rows < window.bbox[2], cols < window.bbox[3])
        seen = np.zeros((frame.side, frame.side), int)
        seen[inside] = truth[np.ix_(rows.clip(max=511)[rows < window.bbox[2]], cols[cols < window.bbox[3]])]
        for n in np.unique(seen)[1:]:
            logits = torch.from_numpy(np.where(seen == n, 90.0, -90.0).astype(np.float32))
            out.append(candidate(logits[: frame.used[0], : frame.used[1]]))
        return out

    monkeypatch.setattr("napari_sam.engine.automatic.grid_finder.decode_points", ask)
    return objects(finder, region, factor)


@pytest.mark.parametrize(
    ("region", "factor", "side"),
    [
        ((0, 0, 512, 640), 1, 512),
        ((70, 90, 400, 460), 1, 256),
        ((0, 0, 512, 640), 2, 512),
        ((61, 83, 512, 640), 2, 160),
    ],
)
def test_objects_lie_where_they_are_whatever_the_windows(predictor, monkeypatch, region, factor, side):
    predictor.set_image(nuclei())
    finder = GridFinder(predictor, GridSettings(stability_score_thresh=0.8), side=side)
    labels = seen_rightly(finder, monkeypatch, region, factor).labels
    truth = nuclei_labels()[region[0] : region[2], region[1] : region[3]]
    full = labels.repeat(factor, 0).repeat(factor, 1)[: truth.shape[0], : truth.shape[1]]
    numbers = [n for n in np.unique(truth)[1:] if (truth == n).sum() > 500]  # cut by the region's edge or not
    best = [np.bincount(full[truth == n]).argmax() for n in numbers]
    overlaps = [
        ((truth == n) & (full == k)).sum() / ((truth == n) | (full == k)).sum()
        for n, k in zip(numbers, best, strict=True)
    ]
    assert len(numbers) > 10
    assert len(set(best)) == len(numbers)
    assert min(overlaps) > 0.8


def test_the_same_region_gives_the_same_labels(finder):
    first, second = (objects(finder, (0, 0, 200, 256)).labels for _ in range(2))
    assert np.array_equal(first, second)


def test_an_even_image_has_no_objects_but_labels(predictor):
    predictor.set_image(np.zeros((64, 96), np.uint8))
    got = objects(GridFinder(predictor, GridSettings(points_per_side=2, pred_iou_thresh=1.0)), (0, 0, 64, 96))
    predictor.set_image(nuclei())
    assert got.labels.shape == (64, 96)
    assert not got.labels.any()
    assert len(got.predicted_iou) == 0


def test_windows_of_a_large_region_cover_it_on_its_grid_of_label_pixels():
    windows = region_windows((12, 8, 1501, 1999), 512, 4, (1501, 2400), 512)
    assert windows == [Window((0, 8, 1501, 2056), 512)]
    many = region_windows((3, 5, 1203, 905), 512, 1, (4000, 4000), 512)
    seen = np.zeros((1200, 900), int)
    for window in many:
        y0, x0, y1, x1 = window.bbox
        assert (y1 - y0, x1 - x0) == (512, 512)
        seen[y0 - 3 : y1 - 3, x0 - 5 : x1 - 5] += 1
    assert seen.min() == 1


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (0, 0, 50, 5), (-1, 0, 5, 5)])
def test_regions_outside_of_the_image_are_refused(region):
    with pytest.raises(PromptError, match="not inside"):
        region_windows(region, 512, 1, (40, 40), 512)


def test_coarse_windows_are_aligned_with_label_pixels():
    (window,) = region_windows((100, 102, 1001, 1003), 256, 4, (1001, 1003), 512)
    assert (100 - window.bbox[0]) % 4 == (102 - window.bbox[1]) % 4 == 0
    assert window.bbox[2:] == (1001, 1003)
    assert window_frame(window, 4, 256).shape == (251, 251)


def test_settings_are_json_and_name_what_the_answer_depends_on(finder):
    settings = finder.settings()
    assert settings["method"] == "grid"
    assert settings["points_per_side"] == 5
    assert {"weights", "precision", "normalisation", "side"} <= set(settings)
    assert all(isinstance(v, str | int | float | list | bool | None) for v in settings.values())


def test_finder_refuses_crop_layers_and_sides_without_size(predictor):
    with pytest.raises(SettingsError, match="crop_n_layers"):
        GridFinder(predictor, GridSettings(crop_n_layers=1))
    with pytest.raises(SettingsError, match="side"):
        GridFinder(predictor, side=0)


def test_finder_stops_when_cancelled(finder):
    read = finder.read((0, 0, 64, 64), 1)
    with pytest.raises(CancelledError):
        finder.compute((0, 0, 64, 64), 1, read, lambda: True)


def test_a_runner_alone_is_enough(predictor):
    assert isinstance(MaskGenerator(predictor.runner).runner, Runner)
