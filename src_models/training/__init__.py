"""Training of promptable networks: data, prompt simulation, losses and the training loop.

``napari-sam train`` runs it; the folder ``recipes`` has the configurations of the shipped model.
"""
