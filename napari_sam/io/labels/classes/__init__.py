"""Classes of objects: names, colours, hierarchy and keys."""
