"""Find and load models of the library transformers: from a folder, or from the cache of earlier downloads."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import CheckpointError, ModelError

if TYPE_CHECKING:
    from types import ModuleType

_CONFIG = "config.json"
_LARGEST_CONFIG = 1 << 22
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def import_transformers() -> ModuleType:
    """Import transformers.

    Raises
    ------
    ModelError
        If it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise ModelError(
            f"open-vocabulary text needs the library transformers ({error})",
            remedy="run pip install 'napari-sam-xl[text]'",
        ) from error


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a model.

    Attributes
    ----------
    path : Path
        The folder.
    name : str
        What the user named.
    config : dict
        Its ``config.json``.
    """

    path: Path
    name: str
    config: dict[str, Any]

    @property
    def kind(self) -> str:
        """Architecture, such as "owlv2"."""
        return str(self.config.get("model_type", ""))


def find_model_folder(source: str | Path) -> ModelFolder:
    """Find a model in a folder, or in the cache of the Hugging Face Hub; nothing is downloaded.

    Parameters
    ----------
    source : str or Path
        A folder with ``config.json`` and ``model.safetensors``, or a name such as "google/owlv2-base-patch16".

    Raises
    ------
    CheckpointError
        If it is not there, has no weights as safetensors, or its configuration cannot be read. The message names the
        folder and the missing file.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        path = _cached_folder(str(source))
    config = path / _CONFIG
    if not config.is_file():
        raise CheckpointError(f"{config}: no such file", remedy=f"give a folder with {_CONFIG} and {_WEIGHTS[0]}")
    if not any((path / name).is_file() for name in _WEIGHTS):
        raise CheckpointError(
            f"{path / _WEIGHTS[0]}: no such file", remedy="copy the weights there, as safetensors (not as .bin or .pt)"
        )
    try:
        if config.stat().st_size > _LARGEST_CONFIG:
            raise ValueError("it is too large")
        content = json.loads(config.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError("it is not an object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{config}: cannot be read ({error})", remedy="copy the model again") from error
    return ModelFolder(path, str(source), content)


def _cached_folder(name: str) -> Path:
    """Return the folder of a model in the Hub's cache.

    Raises
    ------
    CheckpointError
        If it is not there; the message names the folder where it was looked for.
    """
    cache = hub_cache()
    repository = cache / f"models--{name.replace('/', '--')}"
    main = repository / "refs" / "main"
    candidates = [repository / "snapshots" / main.read_text().strip()] if main.is_file() else []
    candidates += sorted(repository.glob("snapshots/*"))
    for folder in candidates:
        if (folder / _CONFIG).is_file():
            return folder
    raise CheckpointError(
        f"text model {name!r}: neither a folder nor in the cache ({repository})",
        parameter="detector",
        remedy=f"on a computer with a connection run: hf download {name}, copy it here, and give its folder",
    )


def hub_cache() -> Path:
    """Return the folder in which the Hugging Face Hub keeps downloads, as its own library finds it."""
    if named := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def load_part(folder: ModelFolder, module: str, name: str, **options: Any) -> Any:
    """Load a model, a tokenizer or an image processor from a folder, with no access to the network.

    Parameters
    ----------
    folder : ModelFolder
        The folder.
    module, name : str
        Module of transformers and class.
    **options
        Of ``from_pretrained``.

    Raises
    ------
    ModelError
        If transformers is missing or too old.
    CheckpointError
        If a file is missing or damaged.
    """
    import_transformers()
    try:
        kind = getattr(importlib.import_module(f"transformers.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{folder.name}: this version of transformers has no {name} ({error})",
            remedy="run pip install --upgrade 'transformers>=5.20'",
        ) from error
    try:
        return kind.from_pretrained(folder.path, local_files_only=True, **options)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{folder.path}: cannot be loaded as {name} ({reason})",
            remedy="check that all files of the model are there",
        ) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("safetensors", "safetensors_rust", "tokenizers", "builtins"):
            raise
        raise CheckpointError(
            f"{folder.path}: cannot be loaded as {name} ({error})", remedy="copy the damaged file again"
        ) from error
