"""A stand-in for torch-em: names that `micro_sam.instance_segmentation` imports and grid mode never calls."""
