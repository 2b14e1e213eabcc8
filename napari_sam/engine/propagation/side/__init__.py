"""Side views of an object along the path that it was followed on: where it ends between the planes."""
