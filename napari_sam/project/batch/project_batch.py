"""Jobs over all images of a project: find, follow and measure their objects."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.errors import CancelledError, NapariSamError
from napari_sam.jobs.batch.asked import changed_fields, name_file, what_is_found
from napari_sam.jobs.batch.batch import Batch, has_stopped_run
from napari_sam.jobs.batch.existing_store import existing_store
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.project.batch.batch_files import FINDING_STATES, batch_folder, finding_pairs, measuring_pairs
from napari_sam.project.batch.batch_options import BatchOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pandas as pd

    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.input_pairs import InputPair
    from napari_sam.jobs.run_options import RunOptions
    from napari_sam.predictor import Predictor
    from napari_sam.project.project_image import ProjectImage

    ChooseImages = Callable[[str | Collection[str] | None, Mapping[str, str] | None], list[ProjectImage]]
    FindObjects = Callable[[ProjectImage, Path, RunOptions], "Found"]


@dataclass(frozen=True)
class BatchReport:
    """Result of a job over images of a project.

    Attributes
    ----------
    done, skipped : list of str
        Images that were done now, and that an earlier call had done, by their paths.
    failed : dict of str to str
        Why images failed, or parts of them; the others are done.
    objects : int
        Number of objects of the images that are done.
    table : Path
        The table of all images, a .csv file.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    objects: int = 0
    table: Path = Path()


@dataclass(frozen=True)
class Found:
    """What was found in an image: the number of objects and of parts that failed, and the store."""

    objects: int
    failed_parts: int
    labels: LabelStore


class ProjectBatch:
    """Jobs over all images of a project; each can be killed at any moment, and the same call continues.

    Parameters
    ----------
    path : Path
        Folder of the project.
    choose : callable
        Takes states and groups, and returns the images.
    model : str
        Model in use.
    load : callable, optional
        Takes a model and a device, and returns a predictor; loads the model by default.
    """

    def __init__(
        self, path: Path, choose: ChooseImages, model: str, load: Callable[[str, str], Predictor] | None = None
    ) -> None:
        self._path, self._choose, self._model, self._load = path, choose, model, load

    def everything(
        self, settings: EverythingSettings | None = None, options: BatchOptions | None = None
    ) -> BatchReport:
        """Find all objects of all images with the model in use.

        Parameters
        ----------
        settings : EverythingSettings, optional
            What to find.
        options : BatchOptions, optional
            Which images, and how.

        Raises
        ------
        SettingsError
            If an earlier call had other settings, and `options.existing` does not say what to do.
        UnknownModelError
            If the model in use is gone.
        CancelledError
            If `options.cancelled()` returned True.
        """
        from napari_sam.jobs.segment_image import segment_image  # noqa: PLC0415 - imports torch

        chosen, how = settings or EverythingSettings(), options or BatchOptions()
        predictor = _Predictor(self._model, how.device, self._load)

        def find(image: ProjectImage, out: Path, run: RunOptions) -> Found:
            report = segment_image(image.open(), predictor.loaded(), out, chosen, run)
            return Found(report.objects, len(report.failed), report.labels)

        return self._find("everything", what_is_found(self._model, chosen), how, find)

    def find(
        self, concept: str | Path, settings: FindSettings | None = None, options: BatchOptions | None = None
    ) -> BatchReport:
        """Find the objects of a concept in all images.

        Parameters
        ----------
        concept : str or Path
            File of the concept.
        settings : FindSettings, optional
            How to search.
        options : BatchOptions, optional
            Which images, and how.

        Raises
        ------
        ConceptError
            If the concept cannot be read.
        SettingsError, CancelledError
            As `everything`.
        """
        from napari_sam.concept import Concept  # noqa: PLC0415 - imports torch
        from napari_sam.jobs.find.find import find as find_in_image  # noqa: PLC0415

        chosen, how = settings or FindSettings(), options or BatchOptions()
        loaded = Concept.load(concept)
        model = loaded.layout.model
        predictor = _Predictor(model, how.device, self._load)

        def find(image: ProjectImage, out: Path, run: RunOptions) -> Found:
            report = find_in_image(
                image.open(), loaded, predictor.loaded(), out, settings=chosen, resume=run.resume, client=run.client,
                workers=run.workers, cancelled=run.cancelled,
            )  # fmt: skip
            return Found(report.objects, len(report.failed), report.labels)

        return self._find("find", what_is_found(model, chosen, concept=name_file(concept)), how, find)

    def track(
        self,
        linking: FrameLinking | None = None,
        settings: EverythingSettings | None = None,
        options: BatchOptions | None = None,
    ) -> BatchReport:
        """Follow all objects of all movies with the model in use.

        Parameters
        ----------
        linking : FrameLinking, optional
            How frames are linked.
        settings : EverythingSettings, optional
            What to find in each frame.
        options : BatchOptions, optional
            Which images, and how.

        Raises
        ------
        SettingsError, CancelledError
            As `everything`.
        """
        from napari_sam.jobs.stacks.open_stack import open_stack  # noqa: PLC0415 - imports torch
        from napari_sam.jobs.stacks.segment_stack import StackRequest, segment_stack  # noqa: PLC0415

        links, chosen, how = linking or FrameLinking(), settings or EverythingSettings(), options or BatchOptions()
        predictor = _Predictor(self._model, how.device, self._load)

        def find(image: ProjectImage, out: Path, run: RunOptions) -> Found:
            request = StackRequest(open_stack(image.open(), "t"), None, links, chosen)
            report = segment_stack(request, predictor.loaded(), out, run)
            return Found(report.objects, len(report.failed), report.labels)

        asked = what_is_found(self._model, chosen, stack="track", linking=changed_fields(links) or None)
        return self._find("track", asked, how, find)

    def measure(self, properties: Sequence[str] | None = None, options: BatchOptions | None = None) -> BatchReport:
        """Measure the objects of all images, into a table of each in the folder ``measurements``.

        Images whose objects have not changed since are passed over.

        Parameters
        ----------
        properties : sequence of str, optional
            As in `LabelStore.measure`; all by default.
        options : BatchOptions, optional
            Which images.

        Raises
        ------
        CancelledError
            As `everything`.
        """
        from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415
        from napari_sam.io.labels.measurement.measure import measure  # noqa: PLC0415
        from napari_sam.io.labels.measurement.measured_table import write_table  # noqa: PLC0415
        from napari_sam.io.labels.measurement.properties import PROPERTIES  # noqa: PLC0415

        how = options or BatchOptions()
        images = measuring_pairs(self._choose(how.state, how.groups), self._path)
        asked: JsonObject = {} if properties is None else {"properties": list(properties)}
        names = PROPERTIES if properties is None else tuple(properties)

        def work(pair: InputPair, existing: str) -> tuple[int, int]:
            pair.out.parent.mkdir(exist_ok=True)
            with LabelStore.open(pair.source, "r") as store:
                table: pd.DataFrame = measure(store, images[pair].open(), names)
            write_table(table, pair.out)
            return len(table), 0

        return self._run("measure", asked, how, images, work)

    def _find(self, command: str, asked: JsonObject, how: BatchOptions, find: FindObjects) -> BatchReport:
        """Find objects in the images, each of which is held meanwhile."""
        from napari_sam.jobs.run_options import RunOptions  # noqa: PLC0415

        images = finding_pairs(self._choose(how.state or FINDING_STATES, how.groups))

        def work(pair: InputPair, existing: str) -> tuple[int, int]:
            from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415

            image = images[pair]
            with image.hold():
                image.begin()
                is_unfinished = pair.out.exists() and has_stopped_run(pair.out)
                if existing == "resume" and pair.out.exists() and not is_unfinished:  # all is written
                    with LabelStore.open(pair.out, "r") as store:
                        return len(store), 0
                with existing_store(pair.out, existing, is_unfinished=is_unfinished) as resume:
                    found = find(image, pair.out, RunOptions(resume, how.client, how.workers, cancelled=how.cancelled))
                    with closing(found.labels):
                        return found.objects, found.failed_parts

        return self._run(command, asked, how, images, work)

    def _run(
        self,
        command: str,
        asked: JsonObject,
        how: BatchOptions,
        images: Mapping[InputPair, ProjectImage],
        work: Callable[[InputPair, str], tuple[int, int]],
    ) -> BatchReport:
        """Run a job on each image; one that fails does not stop the others."""
        from napari_sam.jobs.process_pool import stop_if  # noqa: PLC0415

        columns = {pair.source: {"name": image.name, **image.entry.groups} for pair, image in images.items()}
        folder = batch_folder(self._path, command)
        batch = Batch(folder, asked, how.existing, how.retry_failed, of_stores=command == "measure", columns=columns)
        items = batch.plan(list(images))
        done, skipped, failed, objects = [], [], {}, 0
        try:
            for number, item in enumerate(items, 1):
                stop_if(how.cancelled)
                if item.done is not None:
                    skipped.append(item.pair.source)
                    objects += item.done.objects or 0
                    continue
                begun = batch.begin(item)
                try:
                    count, failed_parts = work(item.pair, item.existing)
                except CancelledError:
                    raise
                except NapariSamError as error:
                    failed[item.pair.source] = batch.fail(begun, item.pair, str(error)).error
                else:
                    record = batch.finish(begun, item.pair, count, failed_parts)
                    objects += count
                    if record.error:
                        failed[item.pair.source] = record.error
                    else:
                        done.append(item.pair.source)
                if how.progress is not None:
                    how.progress(number, len(items))
        finally:
            if items:
                folder.write_table()
        return BatchReport(done, skipped, failed, objects, folder.table)


class _Predictor:
    """A predictor that is loaded when the first image needs it."""

    def __init__(self, model: str, device: str, load: Callable[[str, str], Predictor] | None) -> None:
        self._model, self._device, self._load = model, device, load
        self._predictor: Predictor | None = None

    def loaded(self) -> Predictor:
        from napari_sam.predictor import Predictor  # noqa: PLC0415 - imports torch

        if self._predictor is None:
            self._predictor = (self._load or Predictor)(self._model, self._device)
        return self._predictor
