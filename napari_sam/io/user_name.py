"""Name of the user, as it is noted with changes and locks."""

from __future__ import annotations

import getpass


def user_name() -> str:
    """Return the name of the user, as the machine knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such entry: containers
        return "unknown"
