"""Forms show settings, return validated settings, and show errors beside the field."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.errors import SettingsError
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.widgets.qt_helpers import Fold
from napari_sam.widgets.settings_form import FieldText, SettingsForm
from src_models.settings import setting, validate


@dataclass(frozen=True)
class Sizes:
    """Settings with one field of each kind."""

    method: str = setting("auto", "how to look", choices=("auto", "grid"))
    diameter_px: float | None = setting(None, "typical diameter", low=0, high=1000, above=True, unit="px", step=1)
    count: int = setting(3, "number of tries", low=1, high=9)
    share: float = setting(1 / 3, "share of the image", low=0, high=1)
    coarser: bool | None = setting(None, "search coarser levels")
    category: str | None = setting(None, "category")
    seed: int = setting(0, "random seed", low=0, advanced=True)

    def __post_init__(self) -> None:
        validate(self)
        if self.count > 5 and self.method == "grid":
            raise SettingsError(f"count is {self.count}", parameter="count", remedy="give {method} 'auto'")


@pytest.fixture
def form(qtbot):
    made = SettingsForm(Sizes())
    qtbot.addWidget(made)
    return made


def test_an_untouched_form_returns_the_initial_settings(form):
    assert form.settings() == Sizes()  # 1/3 is shown as 0.33, and stays 1/3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "grid"),
        ("diameter_px", 40),
        ("diameter_px", None),
        ("count", 5),
        ("share", 0.5),
        ("coarser", False),
        ("category", "nucleus"),
        ("seed", 7),
    ],
)
def test_every_kind_of_field_goes_both_ways(form, name, value):
    form.set_settings(Sizes(**{name: value}))
    assert form.values()[name] == value
    assert form.settings() == Sizes(**{name: value})


def test_spin_boxes_have_range_step_and_unit(form):
    diameter, count = form.widget("diameter_px").native, form.widget("count").native
    assert diameter.text() == "automatic"
    diameter.setValue(40)
    assert diameter.text() == "40 px"
    assert (count.minimum(), count.maximum(), count.singleStep()) == (1, 9, 1)
    assert form.widget("count").tooltip == "Number of tries"


def test_what_the_user_types_is_a_value_of_the_right_type(form):
    form.widget("count").native.setValue(4)
    form.widget("diameter_px").native.setValue(12)
    settings = form.settings()
    assert (type(settings.count), settings.count) == (int, 4)
    assert settings.diameter_px == 12.0


def test_a_refused_value_is_shown_beside_its_field_until_it_changes(form, qtbot):
    form.set_settings(Sizes(count=6))
    form.set_value("method", "grid")
    with pytest.raises(SettingsError, match="count is 6"):
        form.settings()
    errors = [label for label in form._errors.values() if not label.isHidden()]
    assert [label.text() for label in errors] == ["“Count” is 6; give “Method” 'auto'"]
    form.set_value("count", 2)
    assert all(label.isHidden() for label in form._errors.values())


def test_an_error_about_another_setting_is_left_to_the_caller(form):
    assert not form.show_error(SettingsError("side is 0", parameter="side"))


def test_advanced_fields_are_behind_a_fold(form):
    (fold,) = form.findChildren(Fold)
    assert fold.content.isAncestorOf(form.widget("seed").native)
    assert fold.content.isHidden()
    fold.header.click()
    assert not fold.content.isHidden()


def test_changes_are_announced(form, qtbot):
    with qtbot.waitSignal(form.changed):
        form.widget("count").native.setValue(4)


def test_choices_and_labels_can_have_other_words(qtbot):
    texts = {"method": FieldText("How", "How to look", {"auto": "Automatic"})}
    form = SettingsForm(Sizes(), ("method",), texts)
    qtbot.addWidget(form)
    assert form.widget("method").native.currentText() == "Automatic"
    assert form.settings(count=4) == Sizes(count=4)


def test_a_truth_value_with_an_initial_value_is_a_check_box(qtbot):
    form = SettingsForm(Sizes(coarser=True))
    qtbot.addWidget(form)
    form.widget("coarser").native.click()
    assert form.settings().coarser is False


def test_a_section_is_none_until_it_is_checked(qtbot):
    form = SettingsForm(EverythingSettings(coarser=True), ("grid",), {"grid": FieldText(names=("points_per_side",))})
    qtbot.addWidget(form)
    assert form.settings().grid is None
    section = form.section("grid")
    section.check.click()
    section.form.set_value("points_per_side", 16)
    assert form.settings().grid == GridSettings(points_per_side=16)
    section.check.click()
    assert form.settings() == EverythingSettings(coarser=True)


def test_settings_that_exclude_each_other_are_refused_with_both_names(qtbot):
    form = SettingsForm(EverythingSettings(), ("level", "side"))
    qtbot.addWidget(form)
    form.set_value("level", 2)
    form.set_value("side", 900)
    with pytest.raises(SettingsError, match="not both"):
        form.settings()
    assert "“Level”" in form._errors["side"].text()
    (fold,) = form.findChildren(Fold)
    assert not fold.content.isHidden()
