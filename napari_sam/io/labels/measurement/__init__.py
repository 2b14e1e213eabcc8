"""Measure shapes and intensities of objects, cell by cell, with memory independent of the image size."""
