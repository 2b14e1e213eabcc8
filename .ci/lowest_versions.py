"""Print the lowest versions that pyproject.toml allows, as pip constraints; torch stays as in constraints.txt."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The CPU build of torch exists for one version only where this runs.
_PINNED = {"torch"}


def lowest_versions(extras: list[str]) -> list[str]:
    """Return ``name==version`` for each direct dependency with a lower bound, of the package and of some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    lowest = {}
    for requirement in (r for requirements in lists for r in requirements):
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?>=([0-9.]+)", requirement)
        if match and match[1] not in _PINNED and match[1] != "napari-sam-xl":
            lowest[match[1].lower()] = f"{match[1]}=={match[2]}"
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    return sorted([*lowest.values(), *(line for line in pinned if line.split("==")[0] in _PINNED)])


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest_versions(sys.argv[1:])) + "\n")
