"""Run the command line as ``python -m napari_sam``."""

import sys

from napari_sam.cli import main

if __name__ == "__main__":
    sys.exit(main())
