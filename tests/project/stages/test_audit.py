"""Audits: samples of automatic objects, and the agreement of their masks with what people made of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import napari_sam as ns
from napari_sam.errors import ProjectError
from napari_sam.project.stages.audit import last_audit
from tests.project.stages.conftest import cut, write_automatic


@pytest.fixture
def project(tmp_path, rng):
    """Two images with 12 and 8 automatic objects, three filled in semi-automatically, and one drawn."""
    made = ns.Project.create(tmp_path / "p", user="Ada")
    for name, number in (("a", 12), ("b", 8)):
        Image.fromarray(rng.integers(0, 255, (90, 90), dtype=np.uint8)).save(tmp_path / f"{name}.png")
        (image,) = made.add(tmp_path / f"{name}.png").added
        with image.labels() as store:
            write_automatic(store, number)
            write_automatic(store, 3, "semi-automatic")
            store.paint(np.full((3, 3), 40), (80, 80))
    return made


def test_the_agreement_of_reviewed_objects_is_reported_with_its_interval(project):
    stages = project.stages
    assert stages.agreement() is None
    audit = stages.begin_audit(10, seed=3)
    assert (audit.number, audit.population, len(audit.sample), audit.by) == (1, 20, 10, "Ada")
    begun = stages.agreement()
    assert (begun.judged, begun.share, begun.left) == (0, None, 10)
    left = iter(audit.sample)
    for decide in (
        lambda store, label: store.review(label),
        lambda store, label: store.review(label),
        lambda store, label: store.review(label, "rejected"),
        lambda store, label: cut(store, label, 2),  # IoU 0.75
    ):
        image_id, label = next(left)
        with project.image(image_id).labels() as store:
            decide(store, label)
    found = stages.agreement()
    assert (found.judged, found.right, found.left, found.gone) == (4, 2, 6, 0)
    assert (found.share, found.low, found.high) == pytest.approx((0.5, 0.150039, 0.849961), abs=1e-6)
    assert {(image, label) for image, labels in found.waiting.items() for label in labels} == set(left)
    assert project.history()[-1]["event"] == "audit"


def test_samples_can_be_drawn_again_and_are_of_automatic_objects_only(project):
    first, again = (project.stages.begin_audit(12, seed=7) for _ in range(2))
    assert (first.sample, again.number) == (again.sample, 2)
    assert last_audit(project.path) == again
    assert len(set(first.sample)) == 12
    every = project.stages.begin_audit(999)
    assert len(every.sample) == 20
    automatic = project.provenance().query("stage == 'automatic'")
    assert set(every.sample) == set(zip(automatic.image_id, automatic.label, strict=True))


def test_objects_that_people_removed_count_and_those_of_an_undone_run_do_not(project):
    first, second = project.images()
    with first.labels() as store:
        store.review(2, "rejected")
    project.stages.begin_audit(99)
    assert project.stages.agreement().judged == 1
    with second.labels() as store:
        for _ in range(3):  # the drawn object, the semi-automatic run, the automatic one
            store.undo()
    found = project.stages.agreement()
    assert (found.judged, found.right, found.left, found.gone) == (1, 0, 11, 8)


def test_what_cannot_be_audited_is_named(project, tmp_path):
    with pytest.raises(ProjectError, match="size is 0"):
        project.stages.begin_audit(0)
    empty = ns.Project.create(tmp_path / "empty")
    with pytest.raises(ProjectError, match="find all objects of some images first"):
        empty.stages.begin_audit()
    project.stages.begin_audit()
    (project.path / "audits" / "0001.json").write_text('{"number": 1}')
    with pytest.raises(ProjectError, match="cannot be read"):
        project.stages.agreement()
