"""Find the objects of a concept in many images and folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import CancelledError, NapariSamError, StoreError
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.find.find import concept_search, find
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.jobs.input_pairs import pair_inputs
from napari_sam.jobs.segment_image import unfinished_run
from napari_sam.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_sam.concept import Concept
    from napari_sam.jobs.find.find import FindReport
    from napari_sam.jobs.input_pairs import InputPair

SUFFIX = ".ome.zarr"
"""Suffix of the label store of an image."""


@dataclass(frozen=True)
class ImageResult:
    """What became of one of many images.

    Attributes
    ----------
    source : str
        Path or URL of the image.
    output : Path
        Its label store.
    objects : int
        Number of objects that were found; with an image that an earlier call has finished, of all objects in its store.
    failed : int
        Number of tiles that could not be searched.
    error : NapariSamError or None
        Why the image could not be searched; the others were.
    """

    source: str
    output: Path
    objects: int = 0
    failed: int = 0
    error: NapariSamError | None = None


def find_in_images(  # noqa: PLR0913 - the public contract
    images: str | Path | Iterable[str | Path],
    concept: Concept | str | Path,
    folder: str | Path,
    predictor: Predictor | str | Path | None = None,
    *,
    settings: FindSettings | None = None,
    candidates: str | Path | None = None,
    resume: bool | None = None,
    client: Any = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_image: Callable[[ImageResult, FindReport | None], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[ImageResult]:
    """Find the objects of a concept in many images.

    An image that cannot be searched does not stop the others.

    Parameters
    ----------
    images : str, Path or iterable of these
        Files, URLs, patterns such as ``*.tif``, and folders, which stand for the images in them.
    concept : Concept, str or Path
        A concept, or its file.
    folder : str or Path
        Folder of the label stores, each named after its image; made if it is missing.
    predictor : Predictor, str or Path, optional
        A predictor, or the name or file of a model; the model of the concept by default.
    settings : FindSettings, optional
        How to search each image.
    candidates : str or Path, optional
        Folder in which the candidates of each image are kept, in a folder named after it.
    resume : bool, optional
        True continues: images whose store is finished are skipped, and one that was interrupted is completed. False
        begins interrupted images again and adds to finished stores. By default an image with a store is an error.
    client, workers
        As in `find`.
    progress : callable, optional
        Called with the number of images done, and of all images.
    on_image : callable, optional
        Called with the result of each image, and its report if it was searched, whose store is closed afterwards.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True.

    Returns
    -------
    list of ImageResult
        One for each image, in order.

    Raises
    ------
    ImageError
        If a pattern or a folder holds no image.
    ConceptError
        If the concept cannot be read.
    SettingsError
        If two images have one name.
    StoreError
        If the folder cannot be made.
    CancelledError
        If `cancelled()` returned True; what is finished is kept.

    Examples
    --------
    >>> import napari_sam as ns
    >>> results = ns.find_in_images("plates/*.tif", "nucleus.concept", "found")  # doctest: +SKIP
    >>> sum(result.objects for result in results)                               # doctest: +SKIP
    """
    chosen = FindSettings() if settings is None else settings
    loaded = concept_search(concept, chosen).concept
    model = loaded.layout.model if predictor is None else predictor
    given = [images] if isinstance(images, str | Path) else list(images)
    pairs = pair_inputs([str(image) for image in given], Path(folder).expanduser(), SUFFIX)
    own = model if isinstance(model, Predictor) else Predictor(model)
    kept = None if candidates is None else Path(candidates).expanduser()
    results: list[ImageResult] = []
    for pair in pairs:
        try:
            result = _finished(pair, resume)
            report = None
            if result is None:
                report = find(
                    open_image(pair.source), loaded, own, pair.out,
                    settings=chosen, candidates=None if kept is None else kept / pair.out.name.removesuffix(SUFFIX),
                    resume=resume, client=client, workers=workers, cancelled=cancelled,
                )  # fmt: skip
                result = ImageResult(pair.source, pair.out, report.objects, len(report.failed))
        except CancelledError:
            raise
        except NapariSamError as error:
            result, report = ImageResult(pair.source, pair.out, error=error), None
        _tell(result, report, on_image)
        results.append(result)
        if progress is not None:
            progress(len(results), len(pairs))
    return results


def _tell(
    result: ImageResult, report: FindReport | None, on_image: Callable[[ImageResult, FindReport | None], None] | None
) -> None:
    """Report an image, and close its store."""
    try:
        if on_image is not None:
            on_image(result, report)
    finally:
        if report is not None:
            report.labels.close()


def _finished(pair: InputPair, resume: bool | None) -> ImageResult | None:
    """Return the result of an image that an earlier call has finished; None if it is to be searched.

    Raises
    ------
    StoreError
        If its store exists and `resume` does not say what to do with it.
    """
    if not pair.out.exists() or resume is False:
        return None
    unfinished = unfinished_run(pair.out) is not None
    if resume is None:
        state = "holds an unfinished run" if unfinished else "exists already"
        raise StoreError(
            f"{pair.out}: {state}", parameter="resume", remedy="continue with {resume=True}, or give another folder"
        )
    if unfinished:
        return None
    with LabelStore.open(pair.out, "r") as store:
        return ImageResult(pair.source, pair.out, len(store))
