"""Shape and intensity of every object, read cell by cell, so that memory does not grow with the image."""
