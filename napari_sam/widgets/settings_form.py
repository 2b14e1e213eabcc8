"""Forms for settings classes, built with magicgui.

Range, step, unit, choices and tooltip of a field come from its `SettingInfo`; optional numbers and choices have an
entry for None. A form shows the message about a rejected value beside its field.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QVBoxLayout, QWidget

from napari_sam.errors import NapariSamError
from napari_sam.widgets.qt_helpers import Fold, narrow, wrapped_label
from src_models.settings import SettingInfo, field_types, setting_infos

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from magicgui.widgets.bases import ValueWidget

T = TypeVar("T")

_AUTOMATIC = "automatic"
_LARGEST = 1e9
_SHARE_STEP, _FINE_STEP = 0.05, 0.01
_MORE = "More options"
_ERROR_STYLE = "QLabel { color: #e5484d; }"


@dataclass(frozen=True)
class FieldText:
    """Wording of a field in a form, where it differs from the settings class.

    Attributes
    ----------
    label : str or None
        Text in front of the field.
    tip : str or None
        Tooltip.
    choices : mapping
        Text of each choice.
    none : str
        Text of the entry for None.
    names : sequence of str, optional
        Fields to show of a setting that is a settings class itself; all by default.
    """

    label: str | None = None
    tip: str | None = None
    choices: Mapping[Hashable, str] = field(default_factory=dict)
    none: str = _AUTOMATIC
    names: Sequence[str] | None = None


class SettingsForm(QWidget, Generic[T]):
    """Edit the fields of a settings class.

    Parameters
    ----------
    initial : dataclass
        Instance of the settings class with the first values. An optional truth value that is set here becomes a check
        box.
    names : sequence of str, optional
        Fields to show; by default all whose type a form can show. The others keep their initial values.
    texts : mapping, optional
        Wording of fields, by name.

    Signals
    -------
    changed
        The user or the program changed a value.
    """

    changed = Signal()

    def __init__(
        self, initial: T, names: Sequence[str] | None = None, texts: Mapping[str, FieldText] | None = None
    ) -> None:
        super().__init__()
        self._initial = initial
        self._fold: Fold | None = None
        infos, types = setting_infos(type(initial)), field_types(type(initial))
        shown = [n for n in infos if _is_editable(types[n][0])] if names is None else list(names)
        self._fields: dict[str, _Field | _Section] = {}
        self._errors = {name: wrapped_label() for name in shown}
        for name in shown:
            field_type = _Type(name, *types[name], infos[name])
            text = (texts or {}).get(name, FieldText())
            made = _Section if dataclasses.is_dataclass(field_type.plain[0]) else _Field
            self._fields[name] = made(field_type, getattr(initial, name), text)
            self._fields[name].on_changed(self._on_changed)
        self._lay_out([n for n in shown if not infos[n].advanced], [n for n in shown if infos[n].advanced])

    def settings(self, **others: Any) -> T:
        """Return the settings, with `others` in place of fields that the form does not show.

        Raises
        ------
        NapariSamError
            If a value is refused; the message also appears beside its field.
        """
        self._clear_errors()
        try:
            return dataclasses.replace(self._initial, **(self.values() | others))  # type: ignore[type-var]
        except NapariSamError as error:
            self.show_error(error)
            raise

    def set_settings(self, settings: T) -> None:
        """Show these settings."""
        self._initial = settings
        for name, shown in self._fields.items():
            shown.value = getattr(settings, name)

    def values(self) -> dict[str, Any]:
        """Return the value of each field, by name."""
        return {name: shown.value for name, shown in self._fields.items()}

    def set_value(self, name: str, value: Any) -> None:
        """Set the value of one field."""
        self._fields[name].value = value

    def widget(self, name: str) -> ValueWidget[Any]:
        """Return the magicgui widget of a field.

        Raises
        ------
        KeyError
            If the form has no such field, or it is a settings class itself.
        """
        shown = self._fields[name]
        if not isinstance(shown, _Field):
            raise KeyError(name)
        return shown.widget

    def section(self, name: str) -> Section:
        """Return the section of a setting that is a settings class itself."""
        return self._fields[name].native

    def insert_row(self, index: int, label: str, widget: QWidget) -> None:
        """Insert a widget that is no setting, aligned with the fields."""
        self._layout.insertRow(index, label, widget)

    def show_row(self, widget: QWidget, visible: bool) -> None:
        """Show or hide a widget that was inserted, with its label."""
        label = self._layout.labelForField(widget)
        for part in (widget, label):
            if part is not None:
                part.setVisible(visible)

    def show_error(self, error: NapariSamError) -> bool:
        """Show an error beside the field that it concerns; return False if the form has no such field."""
        if error.parameter not in self._errors:
            return False
        label = self._errors[error.parameter]
        label.setText(error.worded(self._word))
        label.setStyleSheet(_ERROR_STYLE)
        label.show()
        if self._fold is not None and self._fold.isAncestorOf(label):
            self._fold.header.setChecked(True)
        return True

    def _word(self, argument: str) -> str:
        """Return how the form calls an argument: its label."""
        name = argument.partition("=")[0]
        return f"“{self._fields[name].label}”" if name in self._fields else argument

    def _clear_errors(self) -> None:
        for label in self._errors.values():
            label.hide()

    def _on_changed(self, *_: object) -> None:
        self._clear_errors()
        self.changed.emit()

    def _lay_out(self, plain: list[str], advanced: list[str]) -> None:
        self._layout = layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._add_rows(layout, plain)
        if advanced:
            content = QWidget()
            below = QFormLayout(content)
            below.setContentsMargins(0, 0, 0, 0)
            self._add_rows(below, advanced)
            self._fold = Fold(_MORE, content)
            layout.addRow(self._fold)
        self._clear_errors()

    def _add_rows(self, layout: QFormLayout, names: list[str]) -> None:
        for name in names:
            shown = self._fields[name]
            if shown.label_in_front is None:
                layout.addRow(shown.native)
            else:
                layout.addRow(shown.label_in_front, shown.native)
            layout.addRow(self._errors[name])


class Section(QWidget):
    """Form of an optional setting that is a settings class itself; unless it is checked, the setting is None.

    Parameters
    ----------
    title : str
        Text of the check box.
    form : SettingsForm
        The form.
    """

    toggled = Signal(bool)

    def __init__(self, title: str, form: SettingsForm[Any]) -> None:
        super().__init__()
        self.form = form
        self.check = QCheckBox(title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.check)
        layout.addWidget(form)
        self.check.toggled.connect(form.setVisible)
        self.check.toggled.connect(self.toggled)
        form.hide()


@dataclass(frozen=True)
class _Type:
    """Name and accepted values of a field."""

    name: str
    plain: tuple[type[Any], ...]
    optional: bool
    info: SettingInfo


class _Section:
    """A field whose setting is a settings class itself."""

    label_in_front = None

    def __init__(self, field_type: _Type, initial: Any, text: FieldText) -> None:
        self.label = _label(field_type, text)
        kind = field_type.plain[0]
        self.native = Section(self.label, SettingsForm(initial or kind(), text.names))
        self.native.check.setToolTip(_tip(field_type, text))
        self.value = initial

    @property
    def value(self) -> Any:
        """The settings; None if the section is not checked."""
        return self.native.form.settings() if self.native.check.isChecked() else None

    @value.setter
    def value(self, value: Any) -> None:
        self.native.check.setChecked(value is not None)
        if value is not None:
            self.native.form.set_settings(value)

    def on_changed(self, slot: Callable[[], None]) -> None:
        """Call `slot` after changes."""
        self.native.toggled.connect(slot)
        self.native.form.changed.connect(slot)


class _Field:
    """A magicgui widget, and the conversion between its value and that of the setting."""

    def __init__(self, field_type: _Type, initial: Any, text: FieldText) -> None:
        self.label = _label(field_type, text)
        self._none_value: Any = None  # value of the widget that stands for None
        self._is_whole = False
        self._exact = self._shown = None  # the value set last, and as the widget shows it, which may be rounded
        self.widget = self._make(field_type, initial, text)
        self.widget.tooltip = _tip(field_type, text)
        self.value = initial

    @property
    def native(self) -> QWidget:
        """The Qt widget."""
        return self.widget.native

    @property
    def label_in_front(self) -> str | None:
        """Label in front of the widget; empty for a check box, which has its own."""
        return "" if isinstance(self.widget, CheckBox) else self.label

    def on_changed(self, slot: Callable[[], None]) -> None:
        """Call `slot` after changes."""
        self.widget.changed.connect(lambda _: slot())

    @property
    def value(self) -> Any:
        """Value of the setting."""
        shown = self.widget.value
        if shown == self._shown:
            return self._exact
        if self._none_value is not None and shown == self._none_value:
            return None
        return int(shown) if self._is_whole else shown

    @value.setter
    def value(self, value: Any) -> None:
        self.widget.value = self._none_value if value is None and self._none_value is not None else value
        self._exact, self._shown = value, self.widget.value

    def _make(self, field_type: _Type, initial: Any, text: FieldText) -> ValueWidget[Any]:
        plain, optional, info = field_type.plain, field_type.optional, field_type.info
        if info.choices or (bool in plain and optional and initial is None):
            values = info.choices or (True, False)
            names = {True: "yes", False: "no"} | dict(text.choices)
            choices = [(names.get(value, str(value)), value) for value in values]
            return _combo([*([(text.none, None)] if optional else []), *choices])
        if bool in plain:
            return CheckBox(text=self.label)
        if int in plain or float in plain:
            return self._number(field_type, text.none)
        self._none_value = "" if optional else None
        return LineEdit()

    def _number(self, field_type: _Type, none: str) -> ValueWidget[Any]:
        """Make a spin box; magicgui's one for whole numbers cannot show a unit."""
        info, self._is_whole = field_type.info, float not in field_type.plain
        step = info.step or (1.0 if self._is_whole else _step_of(info))
        decimals = 0 if self._is_whole or (info.step or 0) >= 1 else 2 if step >= _FINE_STEP else 3
        smallest = 10.0**-decimals
        low = -_LARGEST if info.low is None else info.low + (smallest if info.above else 0)
        high = _LARGEST if info.high is None else info.high - (smallest if info.below else 0)
        if field_type.optional:
            low = self._none_value = low - smallest
        made = FloatSpinBox(min=low, max=high, step=step, value=high)
        made.native.setDecimals(decimals)
        made.native.setRange(low, high)  # once more, with these decimals
        made.native.setSuffix(f" {info.unit}" if info.unit else "")
        if field_type.optional:
            made.native.setSpecialValueText(none)
        return made


def _label(field_type: _Type, text: FieldText) -> str:
    label = text.label or field_type.info.label or field_type.name.replace("_", " ")
    return label[:1].upper() + label[1:]


def _tip(field_type: _Type, text: FieldText) -> str:
    return text.tip or f"{field_type.info.help[:1].upper()}{field_type.info.help[1:]}"


def _combo(choices: list[tuple[str, Any]]) -> ComboBox:
    made = ComboBox(choices=choices)
    narrow(made.native)
    return made


def _step_of(info: SettingInfo) -> float:
    """Return a step that suits the range of a number."""
    is_share = info.high is not None and info.high <= 1
    return _SHARE_STEP if is_share else 1.0 if info.unit == "px" else 0.1


def _is_editable(plain: tuple[type[Any], ...]) -> bool:
    return dataclasses.is_dataclass(plain[0]) or all(kind in (bool, int, float, str) for kind in plain)
