"""A stand-in for torchvision: only what segment-anything 1.0 and micro-sam 1.8 import. Not the real package.

PyPI's torchvision is compiled against CUDA and does not load beside a CPU build of torch, so the comparison
puts this folder on PYTHONPATH. All that it does within the timed code is to "resize" a 1024 x 1024 image to
1024 x 1024; non-maximum suppression is imported but never called.
"""

__version__ = "0.0.0+stand-in"
