"""Improve a project's model: training pairs from accepted objects, training, comparison, versions."""
