"""The command ``evaluate``: the paper's experiments on anybody's labelled images."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine, interruptible
from napari_sam.cli.rating_command import add_human, chosen_models
from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Experiment
    from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite

_NOTES = 3  # of what was left out, that are shown
_PROMISE = "keeping what is measured and stopping; the same command goes on from here"
_EXPERIMENTS = {
    "points": "clicks and boxes, beside simple methods",
    "edges": "boundaries, by Berkeley's benchmark",
    "proposals": "recall of a thousand masks",
    "instances": "masks from a detector's boxes, by COCO's average precision",
    "everything": "all objects of whole images; other programs' labels, too",
    "text": "masks from phrases",
    "groups": "points by group: stain, site, sensor …",
    "data": "what the labelled images hold; automatic against corrected masks",
    "all": "all of these that the data allow, with a report",
    "compare": "all of these for several models, side by side",
}
_FORMATS = "auto, collection, pairs, coco, lvis, livecell, bsds, dsb2018, cellpose, tissuenet, labelstore"


def add_evaluate(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add this command to the command line.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    evaluate = commands.add_parser("evaluate", help="measure models on labelled images: the paper's experiments")
    names = evaluate.add_subparsers(dest="experiment", required=True, metavar="NAME")
    for name, what in _EXPERIMENTS.items():
        aliases = ["dense"] if name == "everything" else []
        command = names.add_parser(name, parents=[common], help=what, description=what.capitalize(), aliases=aliases)
        _add_data(command)
        if name != "data":
            _add_models(command, several=name in ("all", "compare"))
        _add_settings(command, name)
        command.set_defaults(run=_evaluate, experiment_name=name)
    add_human(names, common)


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, nargs="?", help="labelled images: a folder, a COCO .json, an .npz …")
    command.add_argument("--path", type=Path, metavar="DATA", help="the same, by name")
    command.add_argument("--format", default="auto", metavar="FORMAT", help=f"what the data are: {_FORMATS}")
    command.add_argument("--split", default="dev", help="part of the data, where there are folders for it (dev)")
    command.add_argument("--only", nargs="*", default=None, metavar="DATASET", help="data sets to evaluate")
    command.add_argument("--out", type=Path, metavar="FOLDER", help="keep measurements, tables and figures; resumes")
    command.add_argument("--max-images", type=int, metavar="N", help="images per data set, evenly spread; 0 for all")
    command.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    command.add_argument("--workers", type=int, metavar="N", help="processes; one for each core without a GPU")


def _add_models(command: argparse.ArgumentParser, several: bool) -> None:
    what = "name or checkpoint file" + (", or NAME=FILE; give it several times to compare" if several else "")
    command.add_argument("--model", action="append" if several else "store", metavar="MODEL", help=f"{what} (default)")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    command.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16")


def _add_settings(command: argparse.ArgumentParser, name: str) -> None:
    every = name in ("all", "compare")
    if name in ("points", "groups", "instances") or every:
        command.add_argument("--per-image", type=int, metavar="N", help="objects per image, evenly spread; 0 for all")
    if name in ("points", "groups") or every:
        command.add_argument("--clicks", type=int, default=9, metavar="N", help="how many clicks are made (9)")
    if name == "points" or every:
        command.add_argument("--no-baselines", action="store_true", help="leave out GrabCut and the like")
    if name in ("edges", "proposals") or every:
        command.add_argument("--grid", type=int, metavar="N", help="points along each side (16; the paper: 16, 64)")
    if name == "edges":
        command.add_argument(
            "--maps", action="append", default=[], metavar="NAME=FOLDER", help="others' maps, NAME.png"
        )
    if name == "instances":
        command.add_argument("--boxes", type=Path, metavar="JSON", help="a detector's results; the true boxes without")
    if name == "everything" or every:
        text = "another program's label images"
        command.add_argument("--labels", action="append", default=[], metavar="NAME=FOLDER", help=text)
    if name == "data":
        command.add_argument("--automatic", type=Path, metavar="FOLDER", help="labels before people corrected them")
    if name == "groups" or every:
        command.add_argument("--by", nargs="+", metavar="COLUMN", help="grouping columns (dataset, modality)")
    command.add_argument("--table", type=Path, metavar="CSV", help="more columns: sample, dataset, stain, latitude …")


def _evaluate(args: argparse.Namespace) -> Any:
    _check(args)
    experiments, samples = _chosen(args, _samples(args))
    audit = _agreement(args, samples) if args.experiment_name == "data" else {}  # first: it may be refused
    if args.out is None and args.experiment_name in ("all", "compare"):
        sys.stderr.write("note: no report will be written and nothing kept; give --out FOLDER\n")
    suite = _run(args, experiments, samples)
    return _shown(args, _result(args, suite) | audit, suite)


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments that make no sense."""
    given = [p for p in (args.data, args.path) if p is not None]
    if len(given) != 1:
        raise EvaluationError("give the labelled images once: DATA or --path DATA")
    args.data = given[0]
    for name, least in (("max_images", "0 for all"), ("per_image", "0 for all"), ("seed", "0")):
        if (getattr(args, name, None) or 0) < 0:
            raise EvaluationError(f"--{name.replace('_', '-')} {getattr(args, name)}: give a number, or {least}")


def _samples(args: argparse.Namespace) -> list[Sample]:
    """The labelled images of a command, with the columns of its table; text has its own."""
    from napari_sam.evaluation.datasets.dataset_formats import find_samples  # noqa: PLC0415 - a light start
    from napari_sam.evaluation.datasets.group_columns import (  # noqa: PLC0415
        add_groups,
        read_group_table,
    )

    args.columns = []
    if args.experiment_name == "text":
        return []
    notes: list[str] = []
    samples = find_samples(args.data, args.format, args.split, args.only, notes)
    for note in notes[:_NOTES]:
        sys.stderr.write(f"note: left out: {note}\n")
    if len(notes) > _NOTES:
        sys.stderr.write(f"note: and {len(notes) - _NOTES} more\n")
    if args.table is not None:
        table = read_group_table(args.table)
        args.columns = [c for c in next(iter(table.values()), {}) if c not in ("latitude", "longitude")]
        samples = add_groups(samples, table)
    there = sorted({name for one in samples for name in one.groups})
    if missing := [c for c in getattr(args, "by", None) or () if c not in there]:
        raise EvaluationError(f"--by {missing[0]}: none of the images has this column; there are {', '.join(there)}")
    return samples


def _chosen(args: argparse.Namespace, samples: list[Sample]) -> tuple[list[Experiment], list[Sample]]:
    """The experiments of a command."""
    name = args.experiment_name
    if name in ("all", "compare"):
        models = args.model or []
        if name == "compare" and len(models) < 2:
            raise EvaluationError(
                "compare needs two models at least: --model default --model runs/mine/model.safetensors"
            )
        kinds = {one.kind for one in samples}
        names = [n for n in ("points", "edges", "proposals", "instances", "everything", "data") if _fits(n, kinds)]
        return [e for n in names for e in _BUILD[n](args)], samples
    if name == "text":
        from napari_sam.evaluation.experiments.text_prompts import TextExperiment, text_samples  # noqa: PLC0415

        if args.data.suffix.lower() != ".json":
            raise EvaluationError(f"{args.data}: phrases stand in a COCO .json; give that file")
        samples, phrases = text_samples(args.data)
        return [TextExperiment(phrases, **_images(args))], samples
    return _BUILD[name](args), samples


def _fits(name: str, kinds: set[str]) -> bool:
    return ("boundaries" if name == "edges" else "objects") in kinds


def _images(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Settings that were given; 0 means all."""
    out = {}
    for name in ("max_images", *names):
        value = getattr(args, name, None)
        if value is not None:
            out[name] = None if value == 0 and name in ("max_images", "per_image") else value
    return out


def _points(args: argparse.Namespace) -> list[Experiment]:
    from napari_sam.evaluation.experiments.point_prompts import BaselineExperiment, PointExperiment  # noqa: PLC0415

    out: list[Experiment] = [PointExperiment(**_images(args, "per_image", "clicks"))]
    if args.experiment_name == "groups" or getattr(args, "no_baselines", False):
        return out
    if importlib.util.find_spec("cv2") is None:
        sys.stderr.write("note: without OpenCV no baselines: pip install 'napari-sam-xl[evaluate]'\n")
        return out
    return [*out, BaselineExperiment(**_images(args, "per_image"))]


def _edges(args: argparse.Namespace) -> list[Experiment]:
    from napari_sam.evaluation.experiments.edge_detection import EdgeBaselineExperiment, EdgeExperiment  # noqa: PLC0415
    from napari_sam.evaluation.experiments.whole_images import parse_named_folders  # noqa: PLC0415

    maps = tuple(parse_named_folders(getattr(args, "maps", [])).items())
    return [EdgeExperiment(**_images(args, "grid")), EdgeBaselineExperiment(maps=maps, **_images(args))]


def _proposals(args: argparse.Namespace) -> list[Experiment]:
    from napari_sam.evaluation.experiments.proposals import ProposalExperiment  # noqa: PLC0415

    return [ProposalExperiment(**_images(args, "grid"))]


def _instances(args: argparse.Namespace) -> list[Experiment]:
    from napari_sam.evaluation.datasets.coco_format import read_coco_ids  # noqa: PLC0415
    from napari_sam.evaluation.datasets.labelled_samples import file_identity  # noqa: PLC0415
    from napari_sam.evaluation.experiments.box_instances import InstanceExperiment, read_detections  # noqa: PLC0415

    boxes = getattr(args, "boxes", None)
    if boxes is None:
        return [InstanceExperiment(**_images(args, *(["per_image"] if args.experiment_name == "instances" else [])))]
    if args.data.suffix.lower() != ".json":
        raise EvaluationError(f"--boxes needs the COCO file that its image ids are of; {args.data} is none")
    images, categories = read_coco_ids(args.data)
    detections = read_detections(boxes, categories, images)
    settings = {"per_image": None, **_images(args, "per_image")}
    return [InstanceExperiment(detections=detections, source=file_identity(boxes), **settings)]


def _everything(args: argparse.Namespace) -> list[Experiment]:
    from napari_sam.evaluation.experiments.whole_images import (  # noqa: PLC0415
        EverythingExperiment,
        ExternalLabelExperiment,
        parse_named_folders,
    )

    out: list[Experiment] = [EverythingExperiment(**_images(args))]
    taken = {one.name for one in chosen_models(args)}
    for name, folder in parse_named_folders(args.labels).items():
        if name in taken:
            raise EvaluationError(f"--labels {name}={folder}: a model is called so; give another name")
        if not folder.is_dir():
            raise EvaluationError(f"--labels {name}={folder}: no such folder")
        out.append(ExternalLabelExperiment(name, folder, **_images(args)))
    return out


def _data(args: argparse.Namespace) -> list[Experiment]:
    from napari_sam.evaluation.experiments.composition import CompositionExperiment  # noqa: PLC0415

    return [CompositionExperiment(**_images(args))]


_BUILD: dict[str, Callable[[argparse.Namespace], list[Experiment]]] = {
    "points": _points,
    "groups": _points,
    "edges": _edges,
    "proposals": _proposals,
    "instances": _instances,
    "everything": _everything,
    "data": _data,
}


def _run(args: argparse.Namespace, experiments: Sequence[Experiment], samples: list[Sample]) -> EvaluationSuite:
    from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite, command_line  # noqa: PLC0415
    from napari_sam.evaluation.runs.experiment_runner import result_folder, run_experiments  # noqa: PLC0415
    from napari_sam.evaluation.runs.result_store import ResultStore  # noqa: PLC0415

    models = chosen_models(args) if any(e.needs_model for e in experiments) else []
    line = ProgressLine("measurements")
    with ExitStack() as stack:
        folder = args.out and result_folder(args.out)
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="napari-sam-evaluate-")))
        store = stack.enter_context(ResultStore(folder))
        promise = _PROMISE if args.out else "stopping; give --out FOLDER to keep what is measured"
        with interruptible(promise) as cancelled:
            found = run_experiments(
                experiments,
                models,
                samples,
                store,
                seed=args.seed,
                workers=args.workers,
                progress=lambda done, total, what: line(done, total, f"  {what}"),
                cancelled=cancelled,
            )
    columns = getattr(args, "by", None)
    if columns is None:
        columns = [c for c in ("dataset", "modality", *args.columns) if any(c in one.groups for one in samples)]
    if found.resumed:
        sys.stderr.write(f"note: {found.resumed} of {found.resumed + found.measured} measurements were there already\n")
    about = {"command": command_line(args.argv), "data": f"{args.data} ({args.split})"}
    return EvaluationSuite(list(experiments), models, found, args.seed, columns, about)


def _result(args: argparse.Namespace, suite: EvaluationSuite) -> dict[str, Any]:
    """All numbers, as JSON holds them; writes the files."""
    from napari_sam.evaluation.experiments.experiment import OVERALL  # noqa: PLC0415
    from napari_sam.evaluation.report.result_tables import short_tables  # noqa: PLC0415

    tables = {name: short_tables(name, some) for name, some in suite.estimates.items()}
    out: dict[str, Any] = {"models": [one.name for one in suite.models]}
    if args.out is not None:
        title = f"Evaluation of {', '.join(out['models']) or 'the data'}"
        out["files"] = [str(path) for path in suite.write(args.out, title)]
    first = tables.get(args.experiment_name)
    if first:
        plain = first[0].plain()
        out |= {"model": first[0].method, "data sets": {k: v for k, v in plain.items() if k != OVERALL}}
        out["mean"] = plain.get(OVERALL) or next(iter(plain.values()))
    out["tables"] = {name: {t.method: t.plain() for t in some} for name, some in tables.items()}
    out["groups"] = {
        model: [
            {
                "column": row.column,
                "group": row.group,
                **{
                    f"{n} points": {
                        "mIoU": _or_none(i.value),
                        "low": _or_none(i.low),
                        "high": _or_none(i.high),
                        "n": i.n,
                    }
                    for n, i in row.by_points.items()
                },
            }
            for row in rows
        ]
        for model, rows in suite.groups.items()
    }
    return out


def _or_none(value: float) -> float | None:
    return None if value != value else value


def _shown(args: argparse.Namespace, result: dict[str, Any], suite: EvaluationSuite) -> Any:
    """The result for JSON; for people the tables are printed."""
    from napari_sam.evaluation.report.group_table import format_table  # noqa: PLC0415
    from napari_sam.evaluation.report.result_tables import short_tables  # noqa: PLC0415

    if args.json:
        return result
    if args.experiment_name == "groups":
        for rows in suite.groups.values():
            sys.stdout.write(format_table(rows) + "\n")
    else:
        for name, some in suite.estimates.items():
            for table in short_tables(name, some):
                sys.stdout.write(f"{name}\n{table.text()}\n\n")
    if "agreement" in result:
        found = result["agreement"]
        sys.stdout.write(
            f"automatic against corrected masks: {found['objects']} objects, mean IoU {found['iou']:.3f}; "
            + "; ".join(f"{100 * v:.1f} % above IoU {k}" for k, v in found["above"].items())
            + f"; {found['kept']} kept, {found['changed']} changed, {found['removed']} removed\n"
        )
    for path in result.get("files", []):
        if path.endswith(".html"):
            sys.stdout.write(f"report: {path}\n")
    return None


def _agreement(args: argparse.Namespace, samples: Sequence[Sample]) -> dict[str, Any]:
    """Automatic against corrected masks, where the data have both."""
    from napari_sam.evaluation.datasets.labelled_samples import select_samples  # noqa: PLC0415
    from napari_sam.evaluation.datasets.store_corrections import read_corrections  # noqa: PLC0415
    from napari_sam.evaluation.experiments.whole_images import find_label_file, read_label_file  # noqa: PLC0415
    from napari_sam.evaluation.metrics.agreement import agreement, matched_ious  # noqa: PLC0415

    pairs: list[tuple[str, float]] = []
    if args.automatic is not None:
        for one in select_samples([s for s in samples if s.kind == "objects"], args.max_images or None):
            if (path := find_label_file(args.automatic, one)) is not None:
                truth = one.truth()
                ious = matched_ious(read_label_file(path, one, truth.shape), truth.labels())
                pairs += [(f"{one.dataset}/{one.name}", iou) for iou in ious]
        if not pairs:
            raise EvaluationError(
                f"--automatic {args.automatic}: no label image there is called as an image of {args.data}; give "
                "NAME.tif or NAME_masks.png, in a sub-folder called as the data set or not"
            )
    elif (args.data / "journal.sqlite").exists():
        try:
            pairs = [(plane, iou) for _, iou, _, plane in read_corrections(args.data)]
        except EvaluationError:
            return {}
    if not pairs:
        return {}
    found = agreement(pairs, seed=args.seed)
    about = {
        "objects": found.iou.n,
        "iou": found.iou.value,
        "interval": [_or_none(found.iou.low), _or_none(found.iou.high)],
    }
    shares = {f"{share:.2f}": interval.value for share, interval in found.above.items()}
    counts = {"kept": found.kept, "changed": found.changed, "removed": found.removed}
    return {"agreement": {**about, "above": shares, **counts}}
