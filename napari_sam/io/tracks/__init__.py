"""Tracks of objects through the frames of a movie, and the text file of the Cell Tracking Challenge."""
