"""Training of promptable networks: data, prompt simulation, losses and the loop.

``python -m src_models.training CONFIG.toml`` trains; the folder ``recipes`` has those of the shipped model.
"""
