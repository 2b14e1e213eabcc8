"""Modules of version 0.1 under which exported scripts import names that have moved since."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

MOVED_MODULES = {
    "napari_sam.engine.grid_filters": "napari_sam.engine.automatic.grid_settings",
    "napari_sam.engine.prompts": "napari_sam.engine.interactive.prompts",
    "napari_sam.io.prompt_tables": "napari_sam.io.read_prompts",
    "napari_sam.io.records": "napari_sam.io.labels.journal.prediction_records",
    "napari_sam.io.runs": "napari_sam.io.labels.journal.run_length",
    "src_models.instances": "src_models.watershed_settings",
}
"""New module by old name: those that scripts exported by version 0.1 import."""


class MovedModuleFinder(MetaPathFinder, Loader):
    """Find modules of version 0.1 under their old names, and look their contents up in the new ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a moved module, None for any other."""
        return ModuleSpec(fullname, self) if fullname in MOVED_MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        """Let the module look up its names in the new module when they are used."""
        home = MOVED_MODULES[module.__name__]

        def get(name: str) -> Any:
            return getattr(import_module(home), name)

        module.__getattr__ = get  # type: ignore[method-assign]


def register() -> None:
    """Make the old names importable; a second call does nothing."""
    if not any(isinstance(finder, MovedModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(MovedModuleFinder())
