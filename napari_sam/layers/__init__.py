"""Between napari's layers and the engine's records; no Qt."""
