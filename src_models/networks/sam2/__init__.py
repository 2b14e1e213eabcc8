"""SAM 2 and 2.1: Hiera image encoder, mask decoder with high-resolution features, and a memory for video."""
