"""Objects through the planes of a stack or the frames of a movie, as part of the page "Click"."""
