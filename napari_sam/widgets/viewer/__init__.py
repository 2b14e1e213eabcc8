"""What follows the napari viewer: the image, the labels, the keys, the camera and the layer list."""
