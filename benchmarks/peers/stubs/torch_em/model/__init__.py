"""A stand-in for ``torch_em.model``."""


class UNETR:
    """Never made in grid mode."""
