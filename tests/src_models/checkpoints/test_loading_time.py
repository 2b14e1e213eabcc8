"""What loading a model imports."""

from __future__ import annotations

import subprocess
import sys


def test_loading_a_model_and_answering_does_not_import_torchs_compiler():
    code = (
        "import sys, numpy as np, napari_sam as ns\n"
        "predictor = ns.Predictor('default', device='cpu')\n"
        "predictor.set_image(np.zeros((64, 64), np.uint8))\n"
        "predictor.predict(points=[(32, 32)])\n"
        "print([m for m in ('torch._dynamo', 'sympy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
