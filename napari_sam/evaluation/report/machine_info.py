"""The computer and software that made a report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from typing import TypedDict

_OWN = "napari-sam-xl"
_PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pycocotools", "opencv-python-headless")


class MachineInfo(TypedDict):
    """Hardware, software and date, as ``about.json`` stores them."""

    date: str
    processor: str
    cores: int | None
    system: str
    accelerator: str
    python: str
    version: str
    packages: dict[str, str]


def machine_info() -> MachineInfo:
    """Describe this computer and its software."""
    import torch  # noqa: PLC0415 - slow to import

    packages = {}
    for name in (_OWN, *_PACKAGES):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU",
        "python": platform.python_version(),
        "version": packages.pop(_OWN, "unknown"),
        "packages": packages,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
