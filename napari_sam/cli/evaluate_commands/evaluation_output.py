"""The results of ``evaluate``, as JSON and as text."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_sam.cli.evaluate_commands.evaluation_request import EvaluationRequest
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite
    from napari_sam.evaluation.report.group_table import GroupRow


def evaluation_result(request: EvaluationRequest, suite: EvaluationSuite) -> dict[str, Any]:
    """Return all numbers as JSON holds them, and write the files of ``--out``."""
    from napari_sam.evaluation.experiments.experiment import OVERALL  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.evaluation.report.report_files import write_report  # noqa: PLC0415
    from napari_sam.evaluation.report.result_tables import short_tables  # noqa: PLC0415

    tables = {name: short_tables(name, estimates) for name, estimates in suite.estimates.items()}
    result: dict[str, Any] = {"models": [model.name for model in suite.models]}
    if request.args.out is not None:
        title = f"Evaluation of {', '.join(result['models']) or 'the data'}"
        result["files"] = [str(path) for path in write_report(suite, request.args.out, title)]
    if first := tables.get(request.name):
        rows = first[0].plain()
        result["model"] = first[0].method
        result["data sets"] = {name: row for name, row in rows.items() if name != OVERALL}
        result["mean"] = rows.get(OVERALL) or next(iter(rows.values()))
    result["tables"] = {name: {t.method: t.plain() for t in some} for name, some in tables.items()}
    result["groups"] = {model: [_group_row(row) for row in rows] for model, rows in suite.groups.items()}
    return result


def _group_row(row: GroupRow) -> dict[str, object]:
    counts = {
        f"{points} points": {
            "mIoU": _finite(interval.value),
            "low": _finite(interval.low),
            "high": _finite(interval.high),
            "n": interval.n,
        }
        for points, interval in row.by_points.items()
    }
    return {"column": row.column, "group": row.group, **counts}


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def print_evaluation(request: EvaluationRequest, result: Mapping[str, Any], suite: EvaluationSuite) -> None:
    """Print the tables, the agreement and the report's path."""
    from napari_sam.evaluation.report.group_table import format_table  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.evaluation.report.result_tables import short_tables  # noqa: PLC0415

    if request.name == "groups":
        for rows in suite.groups.values():
            sys.stdout.write(format_table(rows) + "\n")
    else:
        for name, estimates in suite.estimates.items():
            for table in short_tables(name, estimates):
                sys.stdout.write(f"{name}\n{table.text()}\n\n")
    if "agreement" in result:
        sys.stdout.write(_agreement_text(result["agreement"]))
    for path in result.get("files", []):
        if path.endswith(".html"):
            sys.stdout.write(f"report: {path}\n")


def _agreement_text(agreement: Mapping[str, Any]) -> str:
    shares = "; ".join(f"{100 * share:.1f} % above IoU {iou}" for iou, share in agreement["above"].items())
    return (
        f"automatic against corrected masks: {agreement['objects']} objects, mean IoU {agreement['iou']:.3f}; "
        f"{shares}; {agreement['kept']} kept, {agreement['changed']} changed, {agreement['removed']} removed\n"
    )


def agreement_result(request: EvaluationRequest, samples: Sequence[Sample]) -> dict[str, Any]:
    """Compare automatic with corrected masks, where the data have both.

    Raises
    ------
    EvaluationError
        If ``--automatic`` names a folder without label images of these samples.
    """
    from napari_sam.evaluation.datasets.store_corrections import read_corrections  # noqa: PLC0415 - starts quickly
    from napari_sam.evaluation.metrics.agreement import agreement  # noqa: PLC0415

    pairs: list[tuple[str, float]] = []
    if request.args.automatic is not None:
        pairs = list(_labelled_pairs(request, samples))
        if not pairs:
            raise EvaluationError(
                f"automatic {request.args.automatic}: holds no label image named after an image of {request.data}",
                parameter="automatic",
                remedy="give NAME.tif or NAME_masks.png, in a sub-folder named after the data set or not",
            )
    elif _is_label_store(request.data):
        try:
            pairs = [(one.plane, one.iou) for one in read_corrections(request.data)]
        except EvaluationError:
            return {}
    if not pairs:
        return {}
    audit = agreement(pairs, seed=request.run.seed)
    return {
        "agreement": {
            "objects": audit.iou.n,
            "iou": audit.iou.value,
            "interval": [_finite(audit.iou.low), _finite(audit.iou.high)],
            "above": {f"{share:.2f}": interval.value for share, interval in audit.above.items()},
            "kept": audit.kept,
            "changed": audit.changed,
            "removed": audit.removed,
        }
    }


def _is_label_store(path: Path) -> bool:
    return (path / "journal.sqlite").exists()


def _labelled_pairs(request: EvaluationRequest, samples: Sequence[Sample]) -> Iterator[tuple[str, float]]:
    """Yield image and IoU of each automatic mask."""
    from napari_sam.evaluation.datasets.labelled_samples import select_samples  # noqa: PLC0415 - starts quickly
    from napari_sam.evaluation.experiments.whole_images import find_label_file, read_label_file  # noqa: PLC0415
    from napari_sam.evaluation.metrics.agreement import matched_ious  # noqa: PLC0415

    objects = [sample for sample in samples if sample.kind == "objects"]
    for sample in select_samples(objects, request.args.max_images or None):
        path = find_label_file(request.args.automatic, sample)
        if path is not None:
            truth = sample.truth()
            for iou in matched_ious(read_label_file(path, sample, truth.shape), truth.labels()):
                yield f"{sample.dataset}/{sample.name}", iou
