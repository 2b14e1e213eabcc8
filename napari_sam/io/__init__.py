"""Images in, masks and tables out."""
