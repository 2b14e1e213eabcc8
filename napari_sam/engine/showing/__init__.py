"""Pictures of images and masks for notebooks: small, and read from a coarse scale level."""
