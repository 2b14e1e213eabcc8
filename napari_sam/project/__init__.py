"""Projects: many images, annotated by several people, and the models trained on them."""
