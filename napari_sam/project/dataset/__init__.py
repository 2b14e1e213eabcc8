"""Export of a project as a data set, with a card that describes it."""
