"""A stand-in for ``torch_em.util``."""
