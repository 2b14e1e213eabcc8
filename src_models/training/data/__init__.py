"""Training data: data sets, crops and augmentation."""
