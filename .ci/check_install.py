"""Build wheel and sdist, install each into an empty environment, and use it outside of the source tree."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_CHECK = """
import sys
from pathlib import Path
import napari_sam as ns
from napari_sam import samples
assert Path(ns.__file__).is_relative_to(sys.prefix), ns.__file__
predictor = ns.Predictor(device="cpu")
predictor.set_image(samples.NUCLEI)
p = predictor.predict(points=[(122, 182)])
truth = samples.nuclei_labels()
truth = truth == truth[122, 182]
mask = p.full_mask(truth.shape)
iou = (mask & truth).sum() / (mask | truth).sum()
assert iou > 0.7, iou
print(f"napari-sam-xl {ns.__version__} from {ns.__file__}: IoU {iou:.2f}")
"""


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def check(distribution: Path, torch_index: str | None, constraints: Path | None) -> None:
    """Install one distribution into an empty environment, and use it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "env", with_pip=True)
        python = str(python_of(folder / "env"))
        pip = [python, "-m", "pip", "install", "--quiet", *(["-c", str(constraints)] if constraints else [])]
        subprocess.run([*pip, *(["--index-url", torch_index] if torch_index else []), "torch>=2.10"], check=True)
        subprocess.run([*pip, str(distribution)], check=True)
        subprocess.run([python, "-m", "pip", "check"], check=True)
        subprocess.run([python, "-c", _CHECK], check=True, cwd=folder)
        for words in (["models", "list"], ["segment", "--help"]):
            subprocess.run([python, "-m", "napari_sam", *words], check=True, cwd=folder, stdout=subprocess.DEVNULL)


def main() -> None:
    """Build and check both distributions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-index", help="index of torch's wheels, such as that for the CPU")
    parser.add_argument("--constraints", type=Path, help="versions to install")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([sys.executable, "-m", "build", "--outdir", out, str(ROOT)], check=True)
        for distribution in sorted(Path(out).iterdir()):
            check(distribution, options.torch_index, options.constraints)


if __name__ == "__main__":
    main()
