"""The public `Project`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from napari_sam.engine.cluster.dask_client import check_client
from napari_sam.errors import ImageError, ProjectError
from napari_sam.io.projects.image_entry import STATES, check_groups
from napari_sam.io.projects.project_folder import ProjectFolder
from napari_sam.project.add_report import AddReport
from napari_sam.project.batch.project_batch import ProjectBatch
from napari_sam.project.image_places import image_places
from napari_sam.project.project_image import ProjectImage
from napari_sam.project.stages.stages import Stages
from napari_sam.project.time_per_object import TimePerObject
from napari_sam.project.training.improve_settings import ImproveSettings
from napari_sam.project.training.model_versions import ModelVersion, ModelVersions
from src_models.checkpoints.model_choice import checked_model

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping, Sequence

    from napari_sam.io.json_types import JsonObject
    from napari_sam.predictor import Predictor
    from napari_sam.project.dataset.export_dataset import DatasetReport


class Project:
    """A folder that names many images and keeps what belongs to them: label stores, states and history.

    Images stay where they are. Several people can work in one folder on a shared drive; an image that one of them has
    open is closed to the others. The folder can be moved and copied.

    Parameters
    ----------
    folder : str or path
        An existing project; `create` makes one.
    user : str, optional
        Name under which changes are noted; that of the machine's user by default.
    client : distributed.Client, optional
        Dask cluster that trains models, such as a machine with a GPU; by default this process does.

    Raises
    ------
    SettingsError
        If `client` is not a client, or Dask is not installed.
    ProjectError
        If there is no project in the folder, or a newer version made it.

    Examples
    --------
    >>> import tempfile
    >>> from napari_sam import samples
    >>> project = Project.create(tempfile.mkdtemp())
    >>> report = project.add(samples.NUCLEI, condition="untreated")
    >>> project.images()
    [<ProjectImage 'nuclei.png': 512 x 640, uint8 x 1, unseen>]
    >>> image = project.next_image()
    >>> with image.labels() as labels:
    ...     label = labels.paint(samples.nuclei_labels()[:9, :9] > 0, (0, 0))
    >>> image.state
    'in work'
    """

    def __init__(self, folder: str | os.PathLike[str], user: str | None = None, client: object = None) -> None:
        if client is not None:
            check_client(client)
        self._folder = ProjectFolder(folder, user)
        self.client = client

    @classmethod
    def create(cls, folder: str | os.PathLike[str], name: str | None = None, user: str | None = None) -> Project:
        """Make a project.

        Parameters
        ----------
        folder : str or path
            A new or empty folder.
        name : str, optional
            Name of the project; that of the folder by default.
        user : str, optional
            As in `Project`.

        Raises
        ------
        ProjectError
            If the folder is not empty, or cannot be made.
        """
        return cls(ProjectFolder.create(folder, name, user).path, user)

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {state}" for state, number in self.counts().items() if number)
        return f"<Project {self.name!r}: {counts or 'no images'}>"

    def __len__(self) -> int:
        return len(self.images())

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def name(self) -> str:
        """Name of the project."""
        return self._folder.name

    def add(
        self,
        *sources: str | os.PathLike[str],
        progress: Callable[[int, int], None] | None = None,
        **groups: str,
    ) -> AddReport:
        """Add images; nothing is copied.

        Parameters
        ----------
        *sources : str or path
            Files, URLs, folders, patterns such as ``"day1/*.tif"``, and OME-Zarr plates, of which every field is an
            image with the columns "plate", "well" and "field".
        progress : callable, optional
            Called with the number of images looked at and their total.
        **groups : str
            Columns of these images, to sort and filter by: ``condition="treated"``.

        Raises
        ------
        ImageError
            If a folder or a pattern holds no image. Single images that cannot be opened are in the report.
        ProjectError
            If the project cannot be written.
        """
        report = AddReport()
        places = [place for source in sources for place in image_places(str(source))]
        for number, (place, columns) in enumerate(places, 1):
            try:
                entry, is_new = self._folder.add(place, groups | columns)
                (report.added if is_new else report.known).append(ProjectImage(self._folder, entry))
            except ImageError as error:
                report.failed[place] = str(error)
            if progress is not None:
                progress(number, len(places))
        return AddReport(report.added, report.known, report.failed, self._notes())

    def remove(self, image_id: str) -> None:
        """Take an image out of the project. Its file and its label store stay; adding it again finds the objects."""
        self._folder.remove(image_id)

    def images(
        self, state: str | Collection[str] | None = None, groups: Mapping[str, str] | None = None
    ) -> list[ProjectImage]:
        """Return images, in the order of their paths.

        Parameters
        ----------
        state : str or collection of str, optional
            Only those in this state, or in one of these: "unseen", "in work", "done", "checked".
        groups : mapping of str to str, optional
            Only those whose columns have these values.

        Raises
        ------
        ProjectError
            If there is no such state, column or value, or an entry is damaged.
        """
        states = STATES if state is None else (state,) if isinstance(state, str) else tuple(state)
        unknown = [name for name in states if name not in STATES]
        if unknown:
            raise ProjectError(f"state is {unknown[0]!r}", parameter="state", remedy=f"choose from {', '.join(STATES)}")
        entries, wanted = list(self._folder.entries()), dict(groups or {})
        check_groups(wanted, entries)
        chosen = (entry for entry in entries if entry.state in states and wanted.items() <= entry.groups.items())
        return [ProjectImage(self._folder, entry) for entry in chosen]

    def image(self, image_id: str) -> ProjectImage:
        """Return an image by its id, or by its file name or path if only one image has it.

        Raises
        ------
        ProjectError
            If the project has none, or several.
        """
        if image_id.replace("-", "").isalnum():
            try:
                return ProjectImage(self._folder, self._folder.entry(image_id))
            except ProjectError:
                pass
        found = [image for image in self.images() if image_id in (image.name, image.entry.source)]
        if len(found) == 1:
            return found[0]
        ids = ", ".join(image.image_id for image in found[:5])
        raise ProjectError(
            f"{self.name} has {len(found) or 'no'} image{'s' * (len(found) != 1)} {image_id!r}",
            parameter="image_id",
            remedy=f"give one of the ids {ids}" if found else "list the images of the project",
        )

    def next_image(self, after: str | None = None, groups: Mapping[str, str] | None = None) -> ProjectImage | None:
        """Return the next image to annotate that nobody works on; None if all are done.

        Parameters
        ----------
        after : str, optional
            Id of an image: those behind it come first. Without it, images in work come before unseen ones.
        groups : mapping of str to str, optional
            Only images whose columns have these values.
        """
        images = self.images(("unseen", "in work"), groups)
        if after is None:
            images.sort(key=lambda image: image.state != "in work")
        else:
            order = {image.image_id: i for i, image in enumerate(self.images())}
            place = order.get(after, -1)
            images.sort(key=lambda image: (order.get(image.image_id, 0) <= place, order.get(image.image_id, 0)))
            images = [image for image in images if image.image_id != after]
        return next((image for image in images if image.locked_by is None), None)

    def rank_images(
        self,
        predictor: Predictor | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[ProjectImage]:
        """Return the unseen images, those first that the model is unsure of and that are unlike those in work or done.

        Each image is looked at once for each model, in at most four windows; see `most_useful` for the order.

        Parameters
        ----------
        predictor : Predictor, optional
            With the model that looks at them; the model in use by default.
        progress : callable, optional
            Called with the number of images looked at and their total.
        cancelled : callable, optional
            Return True to stop; what was computed is kept.

        Raises
        ------
        CancelledError
            If `cancelled()` returned True.
        """
        from napari_sam.project.ranking.rank_images import rank_images  # noqa: PLC0415 - imports torch

        folder = self.path / "profiles"
        return rank_images(self.images(), predictor or self.model, folder, progress=progress, cancelled=cancelled)

    def set_groups(self, image_id: str, **groups: str) -> ProjectImage:
        """Set columns of an image, such as ``condition="treated"``, and keep its others."""
        return ProjectImage(self._folder, self._folder.set_groups(image_id, groups))

    def relocate(self, *places: str | os.PathLike[str]) -> list[ProjectImage]:
        """Find images that have moved, by their pixels; states, columns and objects stay theirs.

        Parameters
        ----------
        *places : str or path
            Folders, patterns or files where they may be now.

        Returns
        -------
        list of ProjectImage
            Those that were found.
        """
        candidates = (place for source in places for place, _ in image_places(str(source)))
        return [ProjectImage(self._folder, entry) for entry in self._folder.relocate(candidates)]

    def missing(self) -> list[ProjectImage]:
        """Return images that are not where they were."""
        return [image for image in self.images() if not _is_there(image)]

    def counts(self) -> dict[str, int]:
        """Return the number of images in each state."""
        counts = dict.fromkeys(STATES, 0)
        for entry in self._folder.entries():
            counts[entry.state] += 1
        return counts

    def table(self) -> pd.DataFrame:
        """Return a table of all images.

        Returns
        -------
        pandas.DataFrame
            A row for each image: name, state, number of objects (missing if the store is damaged), who set the state,
            who works on it, height and width in level-0 pixels, kind, the columns that were given, source and id.
        """
        return pd.DataFrame([image.row() for image in self.images()])

    def provenance(self) -> pd.DataFrame:
        """Return how each object of the project came.

        Returns
        -------
        pandas.DataFrame
            A row for each object: image, image_id, and the columns of `LabelStore.provenance`: stage, who and when,
            model, score, prompts, seconds, and who accepted it.

        Raises
        ------
        StoreError
            If a label store is damaged.
        """
        tables = [image.provenance() for image in self.images() if image.is_begun]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["image", "image_id", "stage"])

    def time_per_object(self) -> TimePerObject:
        """Return how long people took for the objects that they prompted; see `ProjectImage.time_per_object`."""
        return TimePerObject.of(seconds for image in self.images() for seconds in image.seconds().values())

    @property
    def stages(self) -> Stages:
        """Semi-automatic and automatic annotation of the images."""
        return Stages(self.images, self._folder, lambda: self.model)

    @property
    def model(self) -> str:
        """Model in use: a registered name, or the checkpoint of a version; for `Predictor` and `segment_everything`."""
        number = self.versions.current()
        return str(self._folder.settings.get("model", "default")) if number == 0 else str(self.versions.path(number))

    @property
    def versions(self) -> ModelVersions:
        """Versions of the project's model, which `improve` adds to."""
        return ModelVersions(self.path / "models")

    def use_model(self, version: int | str) -> None:
        """Put a model in use.

        Parameters
        ----------
        version : int or str
            Number of a version, also an earlier one; 0 for the model that the project began with. Or the name or
            checkpoint of another model, from which the project begins anew.

        Raises
        ------
        ProjectError, UnknownModelError
            If there is no such version, model or file.
        """
        if isinstance(version, str):
            self._folder.save_settings(model=checked_model(version))
        self.versions.use(0 if isinstance(version, str) else version)
        self._folder.log("model", version=version)

    def improve(
        self,
        settings: ImproveSettings | None = None,
        *,
        device: str = "auto",
        progress: Callable[[str, int, int], None] | None = None,
        losses: Callable[[int, float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> ModelVersion:
        """Train the model in use on the accepted objects, and compare before and after on images kept for it.

        Of images that are done or checked all objects count, of others those that a person drew, clicked or accepted
        in a review. A quarter of the images is not trained on, always the same ones. The new version is kept beside
        the others; `use_model` puts it in use.

        Parameters
        ----------
        settings : ImproveSettings, optional
            What is trained and how long. By default the decoders, on a CPU in minutes, or the whole network on a GPU.
        device : str
            As `Predictor` takes it.
        progress : callable, optional
            Called with the part of the work, the number of steps done and their total.
        losses : callable, optional
            Called with each step of the training and its loss; first with those of a run that is continued.
        cancelled : callable, optional
            Return True to stop; the same call continues.

        Returns
        -------
        ModelVersion
            What was gained, with intervals; `better` tells whether to use it.

        Raises
        ------
        ProjectError
            If fewer than two images have accepted objects.
        StoreLockedError
            If somebody else trains the model of this project.
        CancelledError
            If `cancelled()` returned True, or this machine was suspended and somebody else trains the model now.
        """
        from napari_sam.project.training.improve import ImproveRequest, improve  # noqa: PLC0415 - imports torch

        how = (self._folder.user, device, settings or ImproveSettings(), self.client)
        request = ImproveRequest(self.images(), self.model, self.versions, *how)
        with self._folder.model_lock() as lock:
            version = improve(request, progress, losses, lambda: lock.lost or (cancelled is not None and cancelled()))
        self._folder.log("improved", version=version.number, better=version.better)
        return version

    @property
    def batch(self) -> ProjectBatch:
        """Jobs over all images with the model in use: `everything`, `find`, `track` and `measure`."""
        return ProjectBatch(self.path, self.images, self.model)

    def export(
        self,
        path: str | os.PathLike[str],
        formats: Sequence[str] = ("pairs",),
        *,
        state: str | Collection[str] | None = None,
        groups: Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> DatasetReport:
        """Write the accepted objects as a data set with a card; see `export_dataset` for formats and errors.

        Parameters
        ----------
        path : str or path
            A new or empty folder, which appears when it is complete.
        formats, state, groups, progress
            As in `export_dataset` and `images`.
        """
        from napari_sam.project.dataset.export_dataset import export_dataset  # noqa: PLC0415 - slow to import

        target = Path(path).expanduser().absolute()
        return export_dataset(self.images(state, groups), target, formats, name=self.name, progress=progress)

    def history(self) -> list[JsonObject]:
        """Return what happened, earliest first: "time" (seconds since 1970), "user", "event", "image" and details."""
        return self._folder.events()

    def _notes(self) -> tuple[str, ...]:
        kinds = Counter(entry.kind for entry in self._folder.entries())
        if len(kinds) < 2:
            return ()
        text = ", ".join(f"{number} of {kind}" for kind, number in sorted(kinds.items()))
        return (f"the project has images of different kinds ({text}); one model rarely suits all of them",)


def _is_there(image: ProjectImage) -> bool:
    try:
        return bool(image.source)
    except ImageError:
        return False
