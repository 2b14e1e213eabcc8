"""Make the pictures in docs/images again, each from a real window.

Run ``make screenshots``, or ``xvfb-run -a -s "-screen 0 1600x1200x24" python docs/scripts/screenshots.py NAME ...``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "images"
NAMES = (
    "start",
    "click",
    "boxes",
    "everything",
    "review",
    "find",
    "find_page",
    "refine",
    "objects",
    "plot",
    "project",
    "stack",
    "rating",
)


def main() -> None:
    """Make the pictures that the command line names, or all."""
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder (default: docs/images)")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    sys.path.insert(0, str(Path(__file__).parent))
    for name in args.names or NAMES:
        with tempfile.TemporaryDirectory(prefix="cells-") as home:
            os.environ["NAPARI_SAM_DATA"] = home  # every picture begins with an image that was never segmented
            if name != "start":  # which shows what the dock tells at its first start
                from napari_sam.widgets.dock_memory import DockMemory

                DockMemory(welcomed="shown").save()
            make(name, args.out)


def make(name: str, out: Path) -> None:
    """Make one picture."""
    import scenes

    begin = time.monotonic()
    window = getattr(scenes, name)()
    if window is None:
        sys.stderr.write(f"{name}: its image is not here, so it stays as it is\n")
        return
    window.save(out / f"{name}.png")
    window.close()
    sys.stderr.write(f"{name}: {time.monotonic() - begin:.0f} s\n")


if __name__ == "__main__":
    main()
