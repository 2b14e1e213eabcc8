"""The part of the predictor that follows objects through the planes of a stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.engine.propagation.follow_objects import ObjectFollower
from napari_sam.errors import ImageError
from napari_sam.io.images.image_stack import ImageStack
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.propagation_folder import PropagationFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from numpy.typing import ArrayLike

    from napari_sam.engine.interactive.window_predictor import WindowPredictor
    from napari_sam.engine.propagation.propagate_options import PropagateOptions
    from napari_sam.engine.propagation.propagation import Propagation


class StackPredictor:
    """Follow objects of a stack; the base of `Predictor`.

    Attributes
    ----------
    engine : WindowPredictor
        The network with its cache, looking at a plane of the stack.
    """

    engine: WindowPredictor

    def propagate(
        self,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: Sequence[float] | None = None,
        masks: Mapping[int, Any] | None = None,
        **options: Unpack[PropagateOptions],
    ) -> Propagation:
        """Follow one object through the planes of a stack or the frames of a movie.

        Parameters
        ----------
        points : array_like, optional
            (P, 3) as (plane, y, x), level-0 pixels; on one plane or on several. (P, 2) are on the image's plane.
        point_labels : array_like, optional
            (P,) 1 for foreground (the default), 0 for background.
        box : sequence of float, optional
            (plane, y0, x0, y1, x1), or several such boxes on different planes.
        masks : mapping of int to mask, optional
            Masks by plane: a `Prediction`, a `MaskPrompt`, (mask, box), or a mask of the whole plane. A mask without
            points and box on its plane is taken as it is.
        axis : str, optional
            Axis to follow, such as "z" or "t"; by default the only one with several planes, or z.
        planes : sequence of int, optional
            Planes to pass, such as ``range(10, 50)``; all by default.
        carry : {"auto", "memory", "prompt"}
            Carry the object by the memory of the network (SAM 2), or by its mask as a prompt on the next plane. "auto"
            uses the memory of models that have one.
        settings : PropagationSettings, optional
            When the object has ended.
        resume_folder : str, Path or StepStore, optional
            Folder in which progress is kept. If the process ends early, the same call continues there, with the same
            result. It is deleted at the end.
        on_plane : callable, optional
            Called with a `PlaneMask` as soon as it is final.
        progress : callable, optional
            Called with the number of planes done and the largest number to come.
        cancelled : callable, optional
            Called between the steps; return True to stop.

        Returns
        -------
        Propagation

        Raises
        ------
        NoImageError
            If no image was set.
        ImageError
            If the image is no stack, has no such axis, or a prompted plane cannot be read. Other planes that cannot be
            read are left out, and named in `Propagation.missing`.
        PromptError
            If the prompt is empty, not finite, outside its plane, or selects nothing.
        StoreError
            If `resume_folder` holds another propagation or something else.
        CancelledError
            If `cancelled()` returned True; a `resume_folder` stays.

        Examples
        --------
        >>> predictor.set_image("stack.ome.tif")                     # doctest: +SKIP
        >>> cell = predictor.propagate(points=[(31, 120, 88)])       # doctest: +SKIP
        >>> cell.planes[0], cell.planes[-1], cell.weakest            # doctest: +SKIP
        (22, 40, 39)
        """
        prompt = {"points": points, "point_labels": point_labels, "box": box, "masks": masks}
        return self.propagate_many([prompt], **options)[0]

    def propagate_many(
        self, prompts: Sequence[Mapping[str, Any]], **options: Unpack[PropagateOptions]
    ) -> list[Propagation]:
        """Follow several objects; what the network sees of a plane is computed once for all of them.

        Parameters
        ----------
        prompts : sequence of mapping
            Each with some of ``points``, ``point_labels``, ``box`` and ``masks``, as in `propagate`.
        **options
            As in `propagate`. The `PlaneMask` that `on_plane` is called with holds the position in `prompts`.

        Returns
        -------
        list of Propagation
            In the order of `prompts`.

        Raises
        ------
        PromptError
            As in `propagate`; names the prompt's position in the list when there are several. Nothing is computed.
        """
        return self._follower(options).follow(prompts)

    def repropagate(
        self,
        propagation: Propagation,
        plane: int,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: Sequence[float] | None = None,
        mask: Any = None,
        **options: Unpack[PropagateOptions],
    ) -> Propagation:
        """Correct an object on one plane, and follow it again from there.

        Only what the correction touches is computed again: the planes up to the next prompted plane on each side, and
        of those only as far as the object changes.

        Parameters
        ----------
        propagation : Propagation
            The object, followed in this image.
        plane : int
            Plane of the correction.
        points, point_labels, box
            As in `Predictor.predict`. Points correct the object's mask on that plane; a box replaces it.
        mask : Prediction, MaskPrompt, (ndarray, box) or ndarray, optional
            The object's new mask on that plane.
        **options
            As in `propagate`; the axis is that of `propagation`.

        Returns
        -------
        Propagation

        Raises
        ------
        PromptError
            As in `propagate`.
        """
        options["axis"] = propagation.axis
        given: dict[str, Any] = {"points": points, "point_labels": point_labels, "box": box}
        given |= {} if mask is None else {"masks": {plane: mask}}
        return self._follower(options).correct(propagation, plane, given)

    def _follower(self, options: PropagateOptions) -> ObjectFollower:
        image = self.engine.embedder.image
        if not isinstance(image, Image):
            raise ImageError(
                f"{type(image).__name__} {image.identity} has one plane only",
                remedy="open the stack with open_image(...)",
            )
        stack = ImageStack(image, options.get("axis"))
        normalisation = self.engine.embedder.normalisation if image.contrast_limits else stack.normalisation()
        folder = options.get("resume_folder")
        steps = PropagationFolder(Path(folder)) if isinstance(folder, str | os.PathLike) else folder
        return ObjectFollower(stack, self.engine, normalisation, options, steps)
