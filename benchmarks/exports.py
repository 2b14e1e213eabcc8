"""GeoPackage and GeoJSON of 63 000 polygons: our streaming writers against shapely with pyogrio (GDAL).

Run with ``python -m benchmarks.exports``. Each variant runs in a process of its own; times are processor times.
"outlines" only computes the polygons, which all variants share. Needs ``pip install shapely pyogrio pyproj``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box
from napari_sam.io.exports.export_job import ExportJob
from napari_sam.io.exports.outlines import trace_outlines
from napari_sam.io.exports.writers.write_geojson import write_geojson
from napari_sam.io.exports.writers.write_geopackage import write_geopackage
from napari_sam.io.geo.map_coordinates import to_map
from napari_sam.io.labels.journal.rows import ObjectRow
from napari_sam.io.pixel_runs import PixelRuns, runs_by_label

if TYPE_CHECKING:
    from collections.abc import Iterator

UTM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
_SHAPES, _CELL_PX, _BATCH = 200, 40, 5000


class Objects:
    """Objects of irregular outline, generated one after the other."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        masks = ndimage.gaussian_filter(rng.random((_SHAPES, _CELL_PX, _CELL_PX)), (0, 4, 4)) > 0.5
        self._runs = [runs_by_label(mask.astype(np.uint32), (0, 0))[2] for mask in masks]
        self.labels = np.arange(1, count + 1)
        self._per_row = round(count**0.5)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[ObjectRow, PixelRuns]]:
        for label in self.labels.tolist():
            y, x = (_CELL_PX * v for v in divmod(label, self._per_row))
            shape = self._runs[label % _SHAPES]
            runs = PixelRuns(shape.line + y, shape.start + x, shape.stop + x)
            box = Box(y, x, y + _CELL_PX, x + _CELL_PX)
            yield ObjectRow(label, (), runs.area_px, box, "cell", 0.9, 0.8, "default", created=1e9), runs


def job(count: int, path: Path) -> ExportJob:
    """Return the export of synthetic objects that lie on the map."""
    attributes = {"axes": "yx", "crs": "EPSG:32632", "transform": UTM, "scale": (0.5, 0.5), "shape": (1 << 20, 1 << 20)}
    attributes["classes"] = list
    source: Any = SimpleNamespace(path=Path("cells.zarr"), **attributes, objects=lambda *_, **__: Objects(count))
    return ExportJob(source, path, path)


def write_with_pyogrio(export: ExportJob, driver: str) -> None:
    """Write the same layer with shapely and pyogrio, batch by batch."""
    import pyogrio
    import shapely

    names = ("label", "category", "area_px", "predicted_iou", "stability_score", "model")
    objects = export.objects()
    append = False
    while batch := list(islice(objects, _BATCH)):
        geometries = [
            shapely.MultiPolygon([(_on_map(outer), [_on_map(hole) for hole in holes]) for outer, *holes in polygons])
            for polygons in trace_outlines([runs for _, runs in batch]).lists()
        ]
        fields = [np.array([getattr(obj, name) for obj, _ in batch]) for name in names]
        pyogrio.raw.write(
            str(export.partial),
            shapely.to_wkb(np.array(geometries)),
            fields,
            names,
            driver=driver,
            layer="objects",
            geometry_type="MultiPolygon",
            crs=export.source.crs,
            append=append,
        )
        append = True


def _on_map(ring: list[tuple[int, int]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    x, y = np.array([*ring, ring[0]], float).T
    return np.stack(to_map(UTM, x, y), axis=1)


VARIANTS = {
    "outlines": (".none", lambda export: sum(len(found.rings) for _, found in export.outlined(export.sequence()))),
    "gpkg, ours": (".gpkg", write_geopackage),
    "gpkg, pyogrio": (".gpkg", lambda export: write_with_pyogrio(export, "GPKG")),
    "geojson, ours": (".geojson", write_geojson),
    "geojson, pyogrio": (".geojson", lambda export: write_with_pyogrio(export, "GeoJSON")),
    "geojsonl, pyogrio": (".geojsonl", lambda export: write_with_pyogrio(export, "GeoJSONSeq")),
}


def measure(variant: str, count: int) -> dict[str, Any]:
    """Run one variant in this process; returns processor seconds, peak memory and size of the file."""
    ending, write = VARIANTS[variant]
    with tempfile.TemporaryDirectory() as folder:
        export = job(count, Path(folder) / f"objects{ending}")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        write(export)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = export.partial.stat().st_size if export.partial.exists() else 0
    return {"seconds": seconds, "peak_mb": peak / 1024, "added_mb": (peak - before) / 1024, "file_mb": size / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=63_000)
    parser.add_argument("--variant", choices=VARIANTS, help="run only this variant and print its figures as JSON")
    args = parser.parse_args()
    if args.variant:
        print(json.dumps(measure(args.variant, args.objects)))
        return
    first: dict[str, float] = {}
    for variant in VARIANTS:
        command = [sys.executable, "-m", "benchmarks.exports", "--variant", variant, "--objects", str(args.objects)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            print(f"{variant:20} failed: {ran.stderr.strip().splitlines()[-1]}")
            continue
        figures = json.loads(ran.stdout)
        ratio = figures["seconds"] / first.setdefault(variant.partition(",")[0].removesuffix("l"), figures["seconds"])
        print(
            f"{variant:20} {figures['seconds']:6.1f} s ({ratio:4.2f} x ours)  +{figures['added_mb']:6.0f} MB, peak "
            f"{figures['peak_mb']:6.0f} MB, file {figures['file_mb']:6.1f} MB"
        )


if __name__ == "__main__":
    main()
