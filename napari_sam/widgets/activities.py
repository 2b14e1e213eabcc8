"""What the dock says while a job of each kind runs in the engine's thread."""

from __future__ import annotations

from napari_sam.widgets.objects.store_jobs import CHANGE, CLASSIFY, COLOUR, COPY, LIST, PLOT, QUERY

PREPARE, MACHINE, DEVICES = "prepare", "look at this computer", "look for devices"
ACTIVITIES = {
    PREPARE: "Loading the model and looking at the image",
    MACHINE: "Looking at this computer",
    DEVICES: "Loading torch",
    "export": "Exporting",
    "save": "Saving the object",
    "undo": "Undoing the run",
    "redo": "Writing the run again",
    CHANGE: "Changing objects",
    QUERY: "Looking for objects",
    CLASSIFY: "Learning classes",
    COLOUR: "Measuring objects",
    LIST: "Reading objects",
    PLOT: "Measuring objects",
    COPY: "Reading the changes",
}
