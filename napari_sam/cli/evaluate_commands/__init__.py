"""The commands of ``napari-sam evaluate``: the paper's experiments, and the study in which people rate masks."""
