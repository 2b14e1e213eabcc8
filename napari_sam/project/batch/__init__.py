"""Jobs over all images of a project."""
