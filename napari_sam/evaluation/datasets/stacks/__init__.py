"""Labelled volumes and movies, in collections and in folders of the Cell Tracking Challenge."""
