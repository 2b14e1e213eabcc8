"""Everything-mode beside the network: what joining, writing and handing out cost, and how much memory a slide takes.

    python -m benchmarks.everything [--quick]

"Finding" a tile here is waiting, as a processor waits for a GPU, so that the two cores are not what is measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import timing

WAIT_S = 0.4
_PITCH = 32


class Waiting:
    """Finds discs on a grid by rule, after a while; tiles of 512 pixels."""

    method = "dense"
    side = 128

    def __init__(self, predictor: Any) -> None:
        self.shape = predictor.image.shape

    def settings(self) -> dict[str, Any]:
        """Nothing that matters."""
        return {}

    def read(self, region: Any, factor: int) -> Any:
        """Nothing: the rule knows where the discs are."""
        return region

    def is_blank(self, read: Any) -> bool:
        """Never: the rule sees everywhere."""
        return False

    def compute(self, region: Any, factor: int, read: Any, cancelled: Any = None) -> Any:
        """Wait."""
        time.sleep(WAIT_S)
        return region

    def finish(self, region: Any, factor: int, computed: Any) -> Any:
        """The discs."""
        from napari_sam.engine.automatic.object_finder import TileObjects

        y, x = (np.arange(region[a], region[a + 2], factor) for a in (0, 1))
        inside = ((y % _PITCH - 16) ** 2)[:, None] + ((x % _PITCH - 16) ** 2)[None] <= 100
        number = (y // _PITCH)[:, None] * 10_000 + (x // _PITCH)[None] + 1
        _, local = np.unique(np.where(inside, number, 0), return_inverse=True)
        labels = local.reshape(inside.shape).astype(np.int32)
        if factor > 1:
            labels[:] = 0
        scores = np.ones(int(labels.max()), np.float32)
        return TileObjects(labels, scores, scores)


def _use_waiting_finder() -> None:
    """Let this process find objects with the finder of this benchmark."""
    from napari_sam.jobs.tile_plan import FinderSpec

    FinderSpec.build = lambda self, predictor: Waiting(predictor)  # type: ignore[method-assign]


def efficiency(side: int) -> None:
    """One process against two Dask workers."""
    import distributed
    import tifffile

    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.jobs.run_options import RunOptions
    from napari_sam.jobs.segment_image import segment_image

    settings = EverythingSettings(coarser=False, side=Waiting.side)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        tifffile.imwrite(path, np.zeros((side, side), np.uint8), tile=(256, 256))
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
        with cluster, distributed.Client(cluster) as client:
            client.run(_warm, str(path))
            client.run(_use_waiting_finder)
            seconds, share = {}, {}
            for name, options in (("one process", RunOptions()), ("two Dask workers", RunOptions(client=client))):
                started = time.perf_counter()
                output = Path(folder) / f"{name}.ome.zarr"
                report = segment_image(
                    path, "default", output, settings, options, lambda spec, predictor: Waiting(predictor)
                )
                seconds[name] = time.perf_counter() - started
                share[name] = (report.seconds["join"] + report.seconds["write"]) / seconds[name]
                timing.say(
                    f"{name}: {report.tiles} tiles, {report.objects} objects, {seconds[name]:.1f} s, of it joining "
                    f"{report.seconds['join']:.2f} s and writing {report.seconds['write']:.2f} s ({share[name]:.1%})"
                )
                report.labels.close()
    found = report.seconds["find"]
    timing.say(f"efficiency of two workers: {seconds['one process'] / seconds['two Dask workers'] / 2:.2f} in all")
    timing.say(f"(finding alone took {found:.1f} s with two)")


def _warm(path: str) -> None:
    """Load torch and the network once, which a real worker does at its first tile as well."""
    import napari_sam as ns

    ns.Predictor("default", device="cpu").set_image(path)


def sparse(side: int) -> None:
    """Peak memory of dense mode on a large image that is empty but for some places."""
    script = f"""
import json, resource, tempfile, time
import numpy as np, zarr
import napari_sam as ns
from benchmarks.fixtures import synthetic_cells
folder = tempfile.mkdtemp()
image = zarr.create_array(folder + "/image.zarr", shape=({side}, {side}), chunks=(512, 512), dtype="u1", fill_value=0)
cells, _ = synthetic_cells(1024)
cells = cells if cells.ndim == 2 else cells[..., 0]
for k in range(6):
    y, x = (k * 7919 * 1013) % ({side} - 1024), (k * 104729 * 997) % ({side} - 1024)
    image[y:y + 1024, x:x + 1024] = cells
predictor = ns.Predictor("default", device="cpu")
predictor.set_image(np.zeros((512, 512), np.uint8)); predictor.instances()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
report = ns.segment_everything(folder + "/image.zarr", predictor, folder + "/out.ome.zarr")
print(json.dumps(dict(mb=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3,
    seconds=time.perf_counter() - started, tiles=report.tiles, objects=report.objects, parts=report.seconds)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    timing.say(
        f"{side} x {side}, sparse: peak memory +{found['mb']:.0f} MB above the model, {found['seconds']:.0f} s, "
        f"{found['tiles']} tiles, {found['objects']} objects"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    timing.say(timing.describe(timing.machine()))
    efficiency(2048 if options.quick else 4096)
    sparse(10_000 if options.quick else 50_000)
    timing.say(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB at most")


if __name__ == "__main__":
    main()
