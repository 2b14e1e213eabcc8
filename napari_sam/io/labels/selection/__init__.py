"""Selection of objects: by values, classes, and regions of the image."""
