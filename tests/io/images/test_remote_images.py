"""Zarr over http and s3, served from this machine; what goes wrong on the way."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import zarr

from napari_sam import open_image
from napari_sam.errors import ImageError


class Quiet(SimpleHTTPRequestHandler):
    def end_headers(self):
        self.send_header("ETag", '"one"')  # S3 always sends one
        super().end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """A server of `tmp_path`; gives its address."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


def _ome(path, picture, zarr_format):
    group = zarr.create_group(path, zarr_format=zarr_format)
    for i, level in enumerate((picture, picture[::2, ::2])):
        group.create_array(str(i), shape=level.shape, chunks=(64, 64), dtype=level.dtype)[...] = level
    meta = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}, {"path": "1"}], "version": "0.4"}]
    group.attrs.update({"multiscales": meta} if zarr_format == 2 else {"ome": {"version": "0.5", "multiscales": meta}})


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_ome_zarr_over_http(tmp_path, rng, server, zarr_format):
    picture = rng.integers(0, 60_000, (200, 300), dtype=np.uint16)
    _ome(tmp_path / "a.zarr", picture, zarr_format)
    image = open_image(f"http://{server}/a.zarr/")
    assert (image.levels, image.persistent) == ([(200, 300), (100, 150)], True)
    assert image.uri == f"http://{server}/a.zarr"
    assert image.identity == open_image(f"http://{server}/a.zarr").identity
    np.testing.assert_array_equal(image.read(0, 10, 20, 150, 290)[..., 0], picture[10:150, 20:290])
    np.testing.assert_array_equal(image.read(1, 0, 0, 100, 150)[..., 0], picture[::2, ::2])


def test_ome_zarr_in_a_bucket(tmp_path, rng, server, monkeypatch):
    picture = rng.integers(0, 60_000, (200, 300), dtype=np.uint16)
    (tmp_path / "bucket").mkdir()
    _ome(tmp_path / "bucket" / "a.zarr", picture, 3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server}")
    image = open_image("s3://bucket/a.zarr")
    np.testing.assert_array_equal(image.read(0, 10, 20, 150, 290)[..., 0], picture[10:150, 20:290])


def test_a_url_without_an_image_is_named(server):
    with pytest.raises(ImageError, match=r"nothing\.zarr: no zarr array or group there"):
        open_image(f"http://{server}/nothing.zarr")


def test_a_tiff_at_a_url_has_to_be_downloaded(server):
    with pytest.raises(ImageError, match="download the file first"):
        open_image(f"https://{server}/a.tif")


def test_a_network_that_vanishes_is_an_error_with_its_remedy(tmp_path, rng):
    picture = rng.integers(0, 255, (200, 300), dtype=np.uint16)
    _ome(tmp_path / "a.zarr", picture, 3)
    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    image = open_image(f"http://127.0.0.1:{http.server_port}/a.zarr")
    http.shutdown()
    http.server_close()
    thread.join()
    with pytest.raises(ImageError, match=r"a\.zarr: scale level 0"):
        image.read(0, 0, 0, 9, 9)
    with pytest.raises(ImageError, match="check the path or the network"):
        open_image(f"http://127.0.0.1:{http.server_port}/a.zarr")
