"""Training of promptable networks: data, prompt simulation, losses and the loop.

``python -m src_models.training CONFIG.toml`` trains; `src_models/training/default.toml` made the shipped model.
"""
