"""Prompts to masks on images of any size: windows, embedding cache, predictor. No Qt, no napari."""
