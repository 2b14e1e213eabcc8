"""The menu “More”: changes as Python, and what this computer and the models offer."""
