"""Write the measured quality of the default model into its model card and everywhere it is repeated.

    python docs/scripts/model_figures.py POINTS EVERYTHING [--same-weights]

POINTS and EVERYTHING are the folders that `napari-sam evaluate points` and `evaluate everything` wrote, with the data
sets and options that the model card names. The text of the card is written by hand; `tests/docs/test_figures.py` finds
figures that differ.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
CARD = "src_models/weights/MODEL_CARD.md"
ALL = "all data sets"

_NUMBER = r"\**0\.\d{3}\**"
_README = ("dsb2018", "emps", "axon_tem_srf", "usiigaci_t98g", "agoro_fields", ALL)
_MEASURES = {
    "one": ("center", "IoU@1"),
    "oracle": ("center", "oracle@1"),
    "three": ("center", "IoU@3"),
    "box": ("box", "IoU"),
    "error": ("center", "score error@1"),
    "msa": ("whole image", "mSA"),
    "ap50": ("whole image", "AP50"),
}

Figures = dict[str, dict[str, str]]


def read_figures(*folders: Path) -> Figures:
    """Return the figures of each data set, by the names of `_MEASURES` ("low", "high": the interval of "one")."""
    figures: Figures = {}
    for folder in folders:
        with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                of_set = figures.setdefault(row["dataset"], {})
                for name, measure in _MEASURES.items():
                    if (row["protocol"], row["metric"]) == measure:
                        of_set[name] = f"{float(row['value']):.3f}"
                        if name == "one":
                            of_set["n"] = row["n"]
                            of_set |= {end: f"{float(row[end] or row['value']):.2f}" for end in ("low", "high")}
    return figures


def write_card(text: str, figures: Figures, *, same_weights: bool) -> str:
    """Put figures into the tables of the model card; the former figures of new weights become "before"."""

    def row(match: re.Match[str]) -> str:
        cells = [cell.strip() for cell in match[0].strip("|").split("|")]
        bold = "**" if cells[0].startswith("**") else ""
        new = figures[ALL if bold else cells[0]]
        count = cells[1] if bold else new["n"]
        before = cells[2] if same_weights else cells[3].strip("*")
        values = [f"{bold}{new[name]}{bold}" for name in ("oracle", "three", "box", "error")]
        interval = f"{new['low']} to {new['high']}"
        return "| " + " | ".join([cells[0], count, before, f"{bold}{new['one']}{bold}", interval, *values]) + " |"

    def whole(match: re.Match[str]) -> str:
        new = figures[match[1]]
        before = match[2] if same_weights else match[3]
        return f"| {match[1]} | {before} | {new['msa']} | {new['ap50']} |"

    points = rf"^\| \**\w+\** \| [^|]+ \| {_NUMBER} \| {_NUMBER} \| [\d.]+ to [\d.]+ \|(?: {_NUMBER} \|){{4}}"
    text = re.sub(points, row, text, flags=re.MULTILINE)
    return re.sub(r"^\| (\w+) \| (0\.\d{3}) \| (0\.\d{3}) \| 0\.\d{3} \|$", whole, text, flags=re.MULTILINE)


def write_page(text: str, figures: Figures) -> str:
    """Put figures into the tables of a guide or of the quality page, in rows with a data set in column 1 or 2."""
    shown = r" \| ".join([_NUMBER] * 3)

    def points(match: re.Match[str]) -> str:
        new = figures[match["name"]]
        row = match["start"] + " | ".join(new[name] for name in ("one", "three", "box")) + " |"
        return row + (f" {new['msa']} | {new['ap50']} |" if match["whole"] else "")

    def whole(match: re.Match[str]) -> str:
        return f"| {match[1]} | {figures[match[1]]['msa']} | {figures[match[1]]['ap50']} |"

    names = "|".join(map(re.escape, figures))
    start = rf"^(?P<start>\| (?:[^|\n]+ \| (?=(?:{names}) \| \d))?(?P<name>{names})\b[^|\n]* \| (?:\d+ \| )?)"
    text = re.sub(rf"{start}{shown} \|(?P<whole> {_NUMBER} \| {_NUMBER} \|)?", points, text, flags=re.MULTILINE)
    return re.sub(rf"^\| ({names}) \| 0\.\d{{3}} \| 0\.\d{{3}} \|$", whole, text, flags=re.MULTILINE)


def write_quality_page(text: str, figures: Figures) -> str:
    """Put figures into the quality page, with the row of all data sets and the error of the predicted IoU."""
    new = figures[ALL]
    mean = f"**{new['one']}** (95 %: {new['low']} to {new['high']}) | **{new['three']}** | **{new['box']}** |"
    text = re.sub(r"^(\| \*\*18 data sets\*\* \| \| \d+ \| ).*\| \|$", rf"\g<1>{mean} |", text, flags=re.MULTILINE)
    return _error(write_page(text, figures), new["error"])


def write_sentence(text: str, new: Mapping[str, str]) -> str:
    """Put the figures of one data set into a sentence: after one click, after three, with a box, an mSA, an AP50."""
    for name, pattern in (
        ("one", rf"{_NUMBER}(?= after\s+one click)"),
        ("three", rf"{_NUMBER}(?= after three)"),
        ("box", rf"{_NUMBER}(?= with a box)"),
        ("msa", rf"(?<=mSA of ){_NUMBER}"),
        ("ap50", rf"(?<=AP50 of\s){_NUMBER}"),
    ):
        if name in new:
            text = re.sub(pattern, new[name], text, count=1)
    return text


def write_readme(text: str, figures: Figures) -> str:
    """Put figures into the table of the README."""
    for label, name in (("1 click", "one"), ("3 clicks", "three"), ("box", "box")):
        row = " | ".join([label, *(figures[data_set][name] for data_set in _README)])
        text = re.sub(rf"^\| {label} \| 0\..*$", f"| {row} |", text, flags=re.MULTILINE)
    return text


def write_advice(text: str, figures: Figures) -> str:
    """Put figures into the advice that the window gives."""

    def pair(match: re.Match[str]) -> str:
        new = figures[match[1]]
        return f'"{match[1]}", {new["one"]}, {new["box"]}'

    return re.sub(r'"(\w+)", 0\.\d{3}, 0\.\d{3}(?=,)', pair, text)


def write_which_model(text: str, advice: str, figures: Figures) -> str:
    """Put figures into the table of which-model.md, whose rows are those of the advice."""
    for images, data_set in re.findall(r'"([^"]+)",\s+"(\w+)",\s+0\.\d{3}', advice):
        new = figures[data_set]
        row = rf"\g<1>{new['one']}, {new['box']}"
        text = re.sub(rf"^(\| {re.escape(images)} \| )0\.\d{{3}}, 0\.\d{{3}}", row, text, flags=re.MULTILINE)
    return text


def _error(text: str, error: str) -> str:
    return re.sub(r"(has a mean error of )0\.\d+( after one click)", rf"\g<1>{float(error):.2f}\2", text)


def main() -> None:
    """Write the figures of the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path, help="folder of napari-sam evaluate points")
    parser.add_argument("everything", type=Path, help="folder of napari-sam evaluate everything")
    parser.add_argument("--same-weights", action="store_true", help='keep the column "before" of the model card')
    args = parser.parse_args()
    figures = read_figures(args.points, args.everything)
    card = write_card(_text(CARD), figures, same_weights=args.same_weights)
    _write(CARD, _error(card, figures[ALL]["error"]))
    for page in (ROOT / "docs/guides").glob("*.md"):
        name = page.relative_to(ROOT).as_posix()
        _write(name, write_page(_text(name), figures))
    for name, data_set in (("docs/guides/tissue.md", "gbm_he"), ("docs/guides/phase-contrast.md", "usiigaci_t98g")):
        _write(name, write_sentence(_text(name), figures[data_set]))
    _write("docs/quality.md", write_quality_page(_text("docs/quality.md"), figures))
    _write("README.md", write_readme(_text("README.md"), figures))
    advice = "src_models/checkpoints/model_advice.py"
    _write(advice, write_advice(_text(advice), figures))
    _write("docs/which-model.md", write_which_model(_text("docs/which-model.md"), _text(advice), figures))


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def _write(name: str, text: str) -> None:
    (ROOT / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
