"""The page "Project": many images in one folder, and the model that is trained on them."""
