"""Stages of annotation: how an object came. Imports nothing, for the command line."""

MANUAL, ASSISTED, SEMI_AUTOMATIC, AUTOMATIC = "manual", "assisted", "semi-automatic", "automatic"
IMPORTED, EDITED = "imported", "edited"
