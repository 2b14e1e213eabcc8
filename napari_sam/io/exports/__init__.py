"""Export of labels, one format per file."""
