"""What runs in other processes of the tests of everything-mode; imports little, so that they start quickly."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def dies_often(work, name):
    """A tile that kills its process: the first ten in all, marked by files in the folder that `work` names."""
    folder = Path(json.loads(work)["folder"])
    for n in range(10):
        try:
            (folder / f"death-{n}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"done-{name}").touch()
    return "bad chunk" if name == "bad" else None


def slow(work, name):
    """A tile that only waits."""
    time.sleep(0.15)
    return None


def names_its_worker(work, name):
    """A tile that leaves a file with the name of the Dask worker that did it."""
    from distributed import get_worker

    (Path(json.loads(work)["folder"]) / f"on-{get_worker().name}-{name}").touch()
    return None


def run_and_die(image, out, step):
    """A run with the stub finder that kills its own process at a step of its progress."""
    from napari_sam.jobs import segment_image as everything
    from napari_sam.jobs.run_plan import FinderSpec
    from tests.jobs.test_segment_image import Bright

    FinderSpec.build = lambda self, predictor: Bright(predictor)
    everything.choose_side = lambda *_: 64
    everything.split_side = lambda *_: (64, 1)
    steps = []

    def progress(done, total):
        steps.append(done)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    everything.segment_everything(image, output=out, resume=True, progress=progress).labels.close()


if __name__ == "__main__":
    run_and_die(sys.argv[1], sys.argv[2], int(sys.argv[3]))
