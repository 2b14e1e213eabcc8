import numpy as np

from napari_sam.io.labels.journal.run_length import encode_labels
from napari_sam.jobs.prompt_decoding import PendingMask, split_commits
from napari_sam.jobs.prompt_run import PromptCounts


def pending(index, side):
    return PendingMask(index, b"", (0, 0, side, side), {})


def test_small_masks_are_one_commit():
    masks = [pending(i, 100) for i in range(5)]
    assert list(split_commits(masks)) == [masks]


def test_large_masks_are_split_into_several_commits_in_order():
    masks = [pending(i, 5000) for i in range(3)]
    assert list(split_commits(masks)) == [[masks[0]], [masks[1]], [masks[2]]]


def test_no_mask_is_no_commit():
    assert list(split_commits([])) == []


def test_a_pending_mask_reads_back():
    mask = np.zeros((4, 5), bool)
    mask[1:3, 2:] = True
    decoded = PendingMask(0, encode_labels(mask.view(np.uint8)), (10, 20, 14, 25), {"category": "a"}).decode()
    np.testing.assert_array_equal(decoded.mask, mask)
    assert decoded.bbox == (10, 20, 14, 25)


def test_counts_add_up_by_name():
    counts = PromptCounts(objects=1, unsure=2)
    counts.add(PromptCounts(objects=3, failures=4))
    assert counts == PromptCounts(objects=4, unsure=2, failures=4)
