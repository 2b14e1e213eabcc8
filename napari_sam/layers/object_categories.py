"""Categories in napari's table of features, which the user can edit there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.class_styles import cleaned_name

if TYPE_CHECKING:
    import pandas as pd

    from napari_sam.io.labels.label_store import LabelStore

_COLUMN = "category"


class ShownCategories:
    """Tell the categories that the user edited from those that were shown.

    napari writes an edited cell into the layer's features without an event.

    Parameters
    ----------
    store : LabelStore
        Store of the objects.
    """

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self._shown: dict[int, str] = {}

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table of objects as it is shown: an unknown category is an empty text, which can be edited."""
        texts = [_text(value) for value in table[_COLUMN]]
        self._shown = dict(zip(table["index"].tolist(), texts, strict=True))
        return table.assign(**{_COLUMN: texts})

    def write(self, features: pd.DataFrame) -> None:
        """Write the categories that differ from those shown into the store.

        Raises
        ------
        StoreError
            If they cannot be written.
        """
        if _COLUMN not in features or "index" not in features:
            return
        for label, value in zip(features["index"].tolist(), features[_COLUMN].tolist(), strict=True):
            text = _text(value)
            if self._shown.get(label, text) != text:
                self._shown[label] = text
                if self._store.journal.objects.row(int(label)) is not None:
                    self._store.set_category(int(label), cleaned_name(text))


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else "" if value is None or value != value else str(value)
