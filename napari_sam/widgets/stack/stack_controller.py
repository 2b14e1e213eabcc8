"""Stacks and movies on the page "Click": follow objects through planes, correct them, and save them whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import CancelledError, NapariSamError
from napari_sam.layers.stacks.stack_axes import DEPTH, TIME, stack_axes, swap_axes
from napari_sam.widgets.engine_session import is_quick
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.stack.divisions import Divisions
from napari_sam.widgets.stack.follow_run import PredictorFollowEngine
from napari_sam.widgets.stack.following import Following
from napari_sam.widgets.stack.object_saver import ObjectSaver
from napari_sam.widgets.stack.offer import Offer, is_near, requests_of
from napari_sam.widgets.stack.saved_objects import label_under_mouse, saved_object
from napari_sam.widgets.stack.stack_text import (
    count_text,
    follow_hint,
    hand_step,
    planes_text,
    running_step,
    swapped_text,
)
from napari_sam.widgets.stack.stack_view import StackView
from napari_sam.widgets.stack.tracks_view import TracksView

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_session import Answer
    from napari_sam.widgets.stack.follow_run import FollowEngine
    from napari_sam.widgets.stack.stack_panel import StackPanel
    from napari_sam.widgets.stack.stack_view import PromptTools
    from napari_sam.widgets.stack.unsaved_object import UnsavedObject

_AHEAD_MS = 250
_AHEAD_PLANES, _AHEAD_OF_SLOW = 2, 1  # before and after the clicked plane; the latter for slow models
_NOT_NOW = "Finish the correction first: C accepts it, Escape goes back."


class StackController(QObject):
    """Behaviour of the part of the page "Click" for stacks.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : StackPanel
        The controls.
    tools : PromptTools
        Tools, with the prompt layers.
    engine : FollowEngine, optional
        Engine that follows objects.

    Attributes
    ----------
    following : Following
        The objects that are followed and not saved yet.
    view : StackView
        What is shown of them.
    divisions : Divisions
        Which object divides.
    is_active : bool
        False while the canvas belongs to another page, or to the correction of an object under review.

    Signals
    -------
    changed
        Something that the dock describes changed.
    prompts_used
        What is drawn belongs to an object that was followed, saved or dropped, and can be removed.
    """

    changed = Signal()
    prompts_used = Signal()

    def __init__(
        self, context: DockContext, panel: StackPanel, tools: PromptTools, engine: FollowEngine | None = None
    ) -> None:
        super().__init__()
        self._context, self._panel, self._tools = context, panel, tools
        self._images, self._notifier = context.images, context.notifier
        self.following = Following(context.session, engine or PredictorFollowEngine(context.session))
        self.view = StackView(context, panel, tools, self.following)
        self.divisions = Divisions(context, panel)
        self._tracks = TracksView(context, panel)
        self._saver = ObjectSaver(context)
        self.is_active = True
        self._offer: Offer | None = None
        self._dropped: UnsavedObject | None = None  # can be taken back
        self._ahead_soon = single_shot(self, _AHEAD_MS, self._look_ahead)
        panel.through_stack.clicked.connect(self.follow_depth)
        panel.through_time.clicked.connect(self.follow_time)
        panel.edit.clicked.connect(self.edit)
        panel.weakest.clicked.connect(self.go_to_weakest)
        panel.not_here.clicked.connect(self.remove_here)
        panel.next_object.clicked.connect(self.take_next)
        panel.cancel.clicked.connect(self.stop)
        panel.swap.clicked.connect(self.swap_axes)
        panel.neighbours.toggled.connect(self._on_neighbours_toggled)
        self.view.drawn.connect(self.refresh)
        self.divisions.changed.connect(self.changed)
        self._saver.saved.connect(self._on_saved)
        self._saver.failed.connect(self._on_not_saved)
        self.following.ready.connect(self._on_ready)
        self.following.failed.connect(self._on_failed)
        context.labels.store_closing.connect(self.following.drop_saved)
        self._images.image_changed.connect(self._on_image_changed)
        self._images.pixels_changed.connect(self._on_image_changed)

    # ---- the user's actions --------------------------------------------------------------------------------

    def follow(self) -> None:
        """Follow the object along the axis that the image has; along depth if it has both."""
        self._follow(DEPTH if self.view.axes[0] else TIME)

    def follow_depth(self) -> None:
        """Follow the object through the stack."""
        self._follow(DEPTH)

    def follow_time(self) -> None:
        """Follow the object through time."""
        self._follow(TIME)

    def go_to_weakest(self) -> None:
        """Show the plane of the object whose mask is the least certain."""
        weakest = self.view.content.weakest
        if weakest is None:
            self._notifier.info("Follow an object first: click it, then press G.")
        else:
            self.view.go_to(weakest)

    def remove_here(self) -> None:
        """Remove the object in hand from the plane that is shown, and from those beyond it."""
        followed, plane = self.in_hand, self._images.quiet_plane
        position = None if followed is None or plane is None else followed.request.along(plane)
        if followed is None or position is None:
            self._notifier.info("Follow an object first: click it, then press G.")
        elif followed.is_running:
            self._notifier.info("The correction is still carried to the other planes: press K in a moment.")
        else:
            try:
                followed.remove_plane(position)
            except NapariSamError as error:
                self._notifier.error(str(error))
            self._show_hand()

    def take_next(self) -> None:
        """Look at the next object that was followed; after the last one, put it aside for later."""
        if not self.is_active:
            self._notifier.info(_NOT_NOW)
        elif not self.following.waiting and self.in_hand is None:
            self._notifier.info("No followed object waits to be saved: click an object, then press G.")
        else:
            self.following.take_next()
            self._show_hand()

    def edit(self) -> None:
        """Take the saved object under the mouse in hand, to correct it on all its planes."""
        label = label_under_mouse(self._context) or self.divisions.last
        if not self.is_active:
            self._notifier.info(_NOT_NOW)
            return
        if self.in_hand is not None:
            self._notifier.info("An object is in hand: C saves it, Q keeps it for later, Escape drops it.")
            return
        try:
            saved = saved_object(self._context, label, self.view.axis) if label else None
        except NapariSamError as error:
            self._notifier.error(str(error))
            return
        if saved is None:
            self._notifier.info("Point at a saved object of the label store, then press E to correct it on all planes.")
        else:
            self.prompts_used.emit()
            self.following.open_saved(saved.request, saved.label, saved.read)
            self.changed.emit()

    def drop(self) -> None:
        """Forget the object in hand; Ctrl+Z brings it back."""
        dropped = self.in_hand
        if dropped is not None:
            self.following.drop(dropped)
            dropped.finish()
            self._dropped = dropped
            what = "followed object" if dropped.label is None else f"correction of object {dropped.label}"
            self._notifier.note(f"The {what} was dropped; Ctrl+Z brings it back.")
            self._show_hand()

    def put_aside(self) -> None:
        """Keep the object in hand for later."""
        self.following.in_hand = None

    def stop(self) -> None:
        """Stop following; what was found so far is kept."""
        for followed in self.following.running:
            self.following.run.cancel(followed)

    def swap_axes(self) -> None:
        """Take depth for time and time for depth, of an image whose file names them wrongly."""
        layer, store = self._images.layer, self._context.labels.store_layers
        if layer is None or self.is_busy:
            self._notifier.info("Save or drop the objects that are followed first.")
            return
        swap_axes(layer)
        self.withdraw()
        self.view.begin()
        self._notifier.note(swapped_text(stack_axes(layer), None if store is None else str(store.store.meta("axes"))))
        self.changed.emit()

    def show_tracks(self) -> None:
        """Show the tracks of all saved objects."""
        self._panel.tracks.setChecked(True)

    # ---- what the page asks for ------------------------------------------------------------------------------

    @property
    def in_hand(self) -> UnsavedObject | None:
        """The followed object that is shown, and that clicks correct."""
        return self.following.in_hand

    @property
    def is_busy(self) -> bool:
        """Whether objects are followed, or wait to be saved."""
        return bool(self.following.objects) or self._saver.is_busy

    @property
    def hint(self) -> str:
        """Which key follows the answer; empty for a single image."""
        return follow_hint(*self.view.axes)

    @property
    def text(self) -> str:
        """The object in hand in words; empty without one."""
        return "" if self.in_hand is None else count_text(self.in_hand.content)

    @property
    def bindings(self) -> dict[str, Callable[[], None]]:
        """Keys of this part of the page."""
        return {
            "G": self.follow,
            "Shift-G": self.follow_time,
            "W": self.go_to_weakest,
            "K": self.remove_here,
            "Q": self.take_next,
            "Y": self.divisions.divide,
            "E": self.edit,
        }

    def offer(self, answer: Answer, candidates: list[int]) -> None:
        """Note the answer to what is drawn, and look for a single object on the neighbouring planes."""
        layer = self._images.layer
        if layer is None or not any(self.view.axes):
            return
        before, self._offer = self._offer, Offer(answer, list(candidates), layer)
        self.view.clicked = answer.plane
        if before is None or before.answer is not answer or before.candidates != candidates:
            self.following.forget_preview()
            self._ahead_soon.start()

    def withdraw(self) -> None:
        """Forget the answer."""
        self._offer, self.view.clicked = None, None
        self._ahead_soon.stop()
        self.following.forget_preview()

    def show_without_prompts(self, plane: tuple[int, ...]) -> None:
        """Show what was found on a plane on which nothing is drawn; there the answer has been withdrawn."""
        if self._offer is not None and self._offer.answer.plane == plane:
            self.withdraw()
        self.view.redraw_soon()

    def correct(self, plane: tuple[int, ...]) -> bool:
        """Correct the object in hand by what is drawn on a plane; return False if that means another object."""
        followed, prompts = self.in_hand, self._tools.prompts
        if followed is None or prompts is None:
            return False
        position = followed.request.along(plane)
        drawn = prompts.prompts(plane, False, only_background=True)
        if position is None or not drawn:
            if position is not None:
                self.following.revert(position)
            self.view.redraw()
            self.changed.emit()
        elif is_near(drawn[0], followed.nearest_box(position)):
            self.following.correct(position, drawn[0])
            self.changed.emit()
        else:
            self.following.in_hand = None
            self._notifier.note("You clicked another object. The one that was followed waits: Q returns to it.")
            self.view.redraw()
            return False
        return True

    def accept(self, *, replacing: bool) -> bool:
        """Save the object in hand on all its planes; return False without one."""
        followed = self.in_hand
        if followed is None:
            return False
        if followed.is_running or followed.result is None:
            self._notifier.info("The correction is still carried to the other planes: accept it in a moment.")
            return True
        rule = "replace" if replacing else self._context.object_form.values()["overlap"]
        self.following.drop(followed)  # it returns if it cannot be saved
        self._saver.save(followed, rule, self.divisions.mother if followed.label is None else None)
        return True

    def _on_saved(self, followed: UnsavedObject, label: int) -> None:
        self.view.saved, self._dropped = replace(followed.content, prompted=frozenset()), None
        planes = planes_text(followed.scores)
        self._notifier.note(f"Object {label} is saved on {followed.request.noun}s {planes}; Ctrl+Z takes it back.")
        if followed.label is None:
            self.divisions.count(label)
        self._show_hand()

    def _on_not_saved(self, followed: UnsavedObject) -> None:
        self.following.objects.append(followed)
        self.following.in_hand = self.in_hand or followed
        self._show_hand()

    def take_back(self) -> bool:
        """Take back the last correction of the object in hand, or bring back the dropped one; return False if none."""
        followed = self.in_hand
        if followed is not None and not followed.is_running and followed.take_back():
            self._notifier.note("The last correction was taken back.")
        elif followed is None and self._dropped is not None:
            self.following.objects.append(self._dropped)
            self.following.in_hand, self._dropped = self._dropped, None
        else:
            return False
        self._show_hand()
        return True

    def guide(self) -> str:
        """Return the next step while followed objects need attention; empty otherwise."""
        if self.in_hand is not None:
            return hand_step(self.in_hand.content, self.in_hand.is_running, self.in_hand.label)
        running = self.following.running
        if running and self._offer is None:
            return running_step(running[0].request.noun, len(running))
        return self.divisions.guide() if self._offer is None else ""

    def refresh(self) -> None:
        """Enable the controls that can be used now."""
        for button in (self._panel.through_stack, self._panel.through_time):
            button.setEnabled(self._offer is not None)
        self.divisions.refresh()
        self._tracks.refresh()
        self.view.refresh()

    def close(self) -> None:
        """Stop following, and remove what is shown."""
        self._ahead_soon.stop()
        self.following.run.close()
        self._tracks.close()
        self.view.close()

    # ---- following --------------------------------------------------------------------------------------------

    def _follow(self, axis: str) -> None:
        offer, index = self._offer, self.view.index_of(axis)
        if index is None:
            self._notifier.info("This image has one plane only: there is nothing to follow an object through.")
        elif self.in_hand is not None:
            self._notifier.info("This object is followed already: click where it is wrong, or press C to save it.")
        elif offer is None:
            self._notifier.info("Click an object first, then follow it.")
        else:
            try:
                requests = requests_of(offer, axis, index)
            except NapariSamError as error:
                self._notifier.error(str(error))
                return
            self.following.start(requests)
            self.view.axis, self._dropped = axis, None
            self.prompts_used.emit()
            self.view.redraw()
            self.changed.emit()

    def _look_ahead(self) -> None:
        """Follow the object of the last click through the neighbouring planes."""
        offer, axis = self._offer, self.view.axis
        index = self.view.index_of(axis)
        is_wanted = self._panel.neighbours.isChecked() and self.in_hand is None
        if offer is None or index is None or not is_wanted or len(offer.answer.predictions) != 1:
            return
        try:
            (request,) = requests_of(offer, axis, index)
        except NapariSamError:
            return  # reported when the user asks for it
        reach = _AHEAD_PLANES if is_quick(self._context.session.model) else _AHEAD_OF_SLOW
        first, last = max(0, request.origin - reach), min(request.count, request.origin + reach + 1)
        self.following.look_ahead(replace(request, planes=range(first, last)))
        self.refresh()

    def _show_hand(self) -> None:
        """Show the object in hand, if need be on the plane where it was clicked, or that none is."""
        self.prompts_used.emit()
        followed, plane = self.in_hand, self._images.quiet_plane
        if followed is not None and plane is not None and self.view.mask_on(followed, plane) is None:
            self.view.go_to(followed.request.origin)
        self.view.redraw()
        self.changed.emit()

    def _on_ready(self, followed: UnsavedObject) -> None:
        prompts = self._tools.prompts
        is_idle = self._offer is None and (prompts is None or prompts.is_empty)
        if followed in self.following.waiting:
            if self.in_hand is None and is_idle and self.is_active:
                self.following.in_hand = followed
            else:
                self._notifier.note("An object was followed to the end: Q shows it, then C saves it.")
        self.view.redraw()
        self.changed.emit()

    def _on_failed(self, followed: UnsavedObject, error: Exception) -> None:
        if isinstance(error, CancelledError):
            self._notifier.note(str(error))
        else:
            self._notifier.failure(error)
        self.view.redraw()
        self.changed.emit()

    def _on_neighbours_toggled(self, is_checked: bool) -> None:
        if is_checked:
            self._ahead_soon.start()
        else:
            self.following.forget_preview()
            self.view.redraw()

    def _on_image_changed(self) -> None:
        """Forget what belongs to another image."""
        if self.is_busy:
            self._notifier.info("The objects that were followed and not saved belong to another image: they are gone.")
        self.withdraw()
        self._dropped = None
        self.following.drop_all()
        self.view.begin()
        self.changed.emit()
