"""Which image of a project to annotate next."""
