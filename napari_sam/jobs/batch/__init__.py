"""Jobs over many images that can be killed and started again: what is done, what failed, and one table of all."""
