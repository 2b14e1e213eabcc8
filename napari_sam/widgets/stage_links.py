"""What the stages of a project ask of other pages of the dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.dock_panel import EVERYTHING, PROJECT, REVIEW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtWidgets import QTabWidget

    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.widgets.pages.everything_controller import EverythingController
    from napari_sam.widgets.pages.review_controller import ReviewController
    from napari_sam.widgets.project.stages_controller import StagesController


def link_stages(
    stages: StagesController, tabs: QTabWidget, everything: EverythingController, review: ReviewController
) -> None:
    """Let the pages "Everything" and "Review" do what the stages of a project ask for.

    Parameters
    ----------
    stages : StagesController
        The stages.
    tabs : QTabWidget
        Pages of the dock.
    everything, review
        Controllers of these pages.
    """

    def run(settings: EverythingSettings) -> None:
        tabs.setCurrentIndex(EVERYTHING)
        everything.find_in_image(settings)

    def show(labels: Sequence[int]) -> None:
        review.choose_sample(labels)
        is_shown = tabs.currentIndex() == REVIEW
        tabs.setCurrentIndex(REVIEW if labels else PROJECT)
        if labels and is_shown:  # for another image
            review.begin()

    stages.run_wanted.connect(run)
    stages.review_wanted.connect(show)
    review.sample_done.connect(stages.continue_audit)
