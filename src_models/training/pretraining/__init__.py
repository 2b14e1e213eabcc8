"""Pre-training of image encoders on images without labels."""
