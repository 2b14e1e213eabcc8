"""Parts of the training loop: batches, gradients, learning rates and the output folder of a run."""
