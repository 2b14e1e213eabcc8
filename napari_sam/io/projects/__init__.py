"""Projects: a folder that names many images, and keeps their label stores, models and history."""
