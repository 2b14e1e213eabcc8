"""Parts of the documentation that are made from the code: settings, models, commands and the public names."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import napari_sam as ns
from napari_sam.cli.parser import command_parser
from src_models.checkpoints.model_advice import ADVICE
from src_models.checkpoints.registry import model_info, model_names
from src_models.settings import SettingInfo, setting_infos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]

_NAMES = (
    ("Images and prompts", ("open_image", "Predictor", "Prediction", "MaskPrompt")),
    ("Label stores", ("LabelStore",)),
    ("All objects", ("segment_everything", "segment_prompts", "EverythingReport", "GridSettings", "WatershedSettings")),
    ("All objects of one kind", ("Concept", "find", "find_in_images", "FindReport", "FindSettings")),
    ("Classes", ("classify_objects", "ClassifyReport", "ObjectClassifier")),
    ("Volumes and movies", ("segment_volume", "track", "StackReport", "PlaneLinking", "FrameLinking")),
    ("Projects", ("Project",)),
    ("The window", ("launch",)),
)
_AREAS = (
    ("Whole images", ("napari_sam.jobs", "napari_sam.engine.automatic", "src_models.watershed_settings")),
    ("Clicks", ("napari_sam.engine.interactive",)),
    ("Volumes and movies", ("napari_sam.engine.linking", "napari_sam.engine.propagation", "src_models.video")),
    ("Text", ("napari_sam.text",)),
    ("Files", ("napari_sam.io",)),
    ("Projects", ("napari_sam.project",)),
    ("Training", ("src_models.training",)),
    ("Evaluation", ("napari_sam.evaluation",)),
)


def public_names() -> str:
    """Return the directives of mkdocstrings for all public names, by subject; new names come under "More"."""
    grouped = {name for _, names in _NAMES for name in names}
    more = tuple(name for name in ns.__all__ if name not in grouped)
    sections = [(title, [n for n in names if n in ns.__all__]) for title, names in (*_NAMES, ("More", more))]
    return "\n".join(
        f"## {title}\n\n" + "\n\n".join(f"::: napari_sam.{name}" for name in names) + "\n"
        for title, names in sections
        if names
    )


def settings_classes() -> list[type]:
    """Return all classes of settings, found by their source: those with a field that `setting` made."""
    found = []
    for package in ("napari_sam", "src_models"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if not re.search(r"=\s*setting\(", path.read_text(encoding="utf-8")):
                continue
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            found += [
                kind for _, kind in inspect.getmembers(module, inspect.isclass) if _is_settings(kind, module.__name__)
            ]
    return found


def _is_settings(kind: type, module: str) -> bool:
    is_ours = kind.__module__ == module and dataclasses.is_dataclass(kind) and not kind.__name__.startswith("_")
    return is_ours and any("setting" in f.metadata for f in dataclasses.fields(kind))


def settings_tables() -> str:
    """Return a table for each class of settings."""
    classes, lines = settings_classes(), []
    for title, modules in (*_AREAS, ("More", ("",))):
        chosen = [kind for kind in classes if kind.__module__.startswith(modules)]
        classes = [kind for kind in classes if kind not in chosen]
        if chosen:
            lines += [f"## {title}", "", *(line for kind in chosen for line in _settings_table(kind))]
    return "\n".join(lines)


def _settings_table(kind: type) -> Iterator[str]:
    infos = setting_infos(kind)
    is_public = kind.__name__ in ns.__all__
    where = f"ns.{kind.__name__}" if is_public else f"{kind.__module__}.{kind.__name__}"
    summary = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    yield from (f"### {kind.__name__}", "", f"`{where}`: {summary}", "")
    yield from ("| setting | default | range | meaning |", "|---|---|---|---|")
    for field in dataclasses.fields(kind):
        info = infos[field.name]
        cells = (f"`{field.name}`", _default(field), _range(info), info.help or _type_text(field))
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    yield ""


def _type_text(field: dataclasses.Field[object]) -> str:
    return f"`{field.type}`"


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    if field.default_factory is not dataclasses.MISSING:
        return f"`{field.default_factory()!r}`"
    return "required"


def _range(info: SettingInfo) -> str:
    if info.choices:
        return ", ".join(f"`{choice!r}`" for choice in info.choices)
    ends = []
    if info.low is not None:
        ends.append(f"{'>' if info.above else '≥'} {info.low:g}")
    if info.high is not None:
        ends.append(f"{'<' if info.below else '≤'} {info.high:g}")
    return " ".join([", ".join(ends), info.unit]).strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def models_table() -> str:
    """Return a table of the registered models."""
    lines = ["| name | file | licence of the weights | what it is |", "|---|---|---|---|"]
    for name in model_names():
        info = model_info(name)
        size = "in the package" if info.url is None else "published without a size"
        if info.url is not None and info.size_bytes:
            size = f"{info.size_bytes / 1e6:.0f} MB"
        if info.url is None and info.size_bytes:
            size = f"{info.size_bytes / 1e6:.0f} MB, in the package"
        lines.append(f"| `{name}` | {size} | {info.licence} | {_cell(info.description)} |")
    return "\n".join(lines)


def advice_table() -> str:
    """Return a table of the models to try by kind of image, with what the default model does there."""
    lines = [
        "| your images | `default`: mean IoU from a click, from a box | others to try | why |",
        "|---|---|---|---|",
    ]
    for advice in ADVICE:
        measured = "not measured" if advice.click is None else f"{advice.click:.3f}, {advice.box:.3f}"
        others = ", ".join(map(_name_and_size, advice.models)) or "–"
        lines.append(f"| {advice.images} | {measured} | {others} | {_cell(advice.reason)} |")
    return "\n".join(lines)


def _name_and_size(name: str) -> str:
    size = model_info(name).size_bytes  # not published for some
    return f"`{name}`" if size is None else f"`{name}` ({size / 1e6:,.0f} MB)"


def command_help() -> str:
    """Return the help of every command."""
    return "\n".join(_parser_help(command_parser(), 2))


def _parser_help(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield from (f"{'#' * min(level, 4)} {parser.prog}", "", "```text", parser.format_help().rstrip(), "```", "")
    seen: set[int] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                if id(child) not in seen:  # aliases
                    seen.add(id(child))
                    yield from _parser_help(child, level + 1)


PARTS: dict[str, Callable[[], str]] = {
    "api": public_names,
    "settings": settings_tables,
    "models": models_table,
    "advice": advice_table,
    "commands": command_help,
}
"""What a page may ask for with ``<!-- generated: NAME -->``."""
