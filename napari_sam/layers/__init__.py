"""napari layers for images, prompts and labels; no Qt."""
