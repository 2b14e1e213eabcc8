"""Find the objects of a concept in whole images, stacks and folders."""
