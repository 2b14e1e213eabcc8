"""Follow objects through the planes of a stack or the frames of a movie."""
