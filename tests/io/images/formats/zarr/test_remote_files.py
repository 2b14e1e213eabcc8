"""Zarr over http and s3, served from this machine; what goes wrong on the way."""

from __future__ import annotations

import functools
import json
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


def served(handler, folder):
    """Start a server; returns it and its address."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    return http, f"http://127.0.0.1:{http.server_port}"


@pytest.fixture
def serve(tmp_path):
    """A function that serves `tmp_path` with a handler, and returns its address."""
    running = []

    def start(handler):
        http, address = served(handler, tmp_path)
        running.append(http)
        return address

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


class Forbidding(Quiet):
    """A bucket that may not be listed: 403 for everything that is not there."""

    def send_error(self, code, *args, **keywords):
        super().send_error(403 if code == 404 else code, *args, **keywords)


def test_missing_chunks_that_a_bucket_forbids_hold_the_fill_value(tmp_path, serve):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(200, 300), chunks=(64, 64), dtype="uint16", fill_value=7)
    array[:64] = 9
    image = open_image(f"{serve(Forbidding)}/a.zarr")
    pixels = image.read(0, 0, 0, 200, 300)[..., 0]
    assert (pixels[:64] == 9).all()
    assert (pixels[64:] == 7).all()
    with pytest.raises(ImageError, match="the server forbids"):
        open_image(f"{serve(Forbidding)}/b.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_missing_chunks_of_pyramids_behind_403_are_read_in_any_part(tmp_path, serve, rng, zarr_format):
    picture = rng.integers(0, 60_000, (200, 300), dtype=np.uint16)
    _ome(tmp_path / "a.zarr", picture, zarr_format)
    image = open_image(f"{serve(Forbidding)}/a.zarr")
    np.testing.assert_array_equal(image.read(0, 10, 20, 150, 290, 3)[..., 0], picture[10:150:3, 20:290:3])


def test_shards_on_a_server_without_ranges_are_read(tmp_path, serve, rng):
    picture = rng.integers(0, 60_000, (200, 300), dtype=np.uint16)
    keywords = {"shape": picture.shape, "chunks": (32, 32), "shards": (128, 128), "dtype": "uint16"}
    zarr.create_array(tmp_path / "a.zarr", **keywords)[...] = picture
    image = open_image(f"{serve(Quiet)}/a.zarr")  # Python's server ignores ranges
    np.testing.assert_array_equal(image.read(0, 100, 120, 150, 290)[..., 0], picture[100:150, 120:290])
    np.testing.assert_array_equal(image.read(0, 0, 0, 200, 300)[..., 0], picture)


@pytest.mark.parametrize(
    "address", ["my%20images/a%23b.zarr", "my images/a%23b.zarr", "my%20images/a%23b.zarr?token=1"]
)
def test_percent_encoded_addresses_are_read(tmp_path, serve, rng, address):
    picture = rng.integers(0, 60_000, (200, 300), dtype=np.uint16)
    (tmp_path / "my images").mkdir()
    _ome(tmp_path / "my images" / "a#b.zarr", picture, 2)
    image = open_image(f"{serve(Quiet)}/{address}")
    np.testing.assert_array_equal(image.read(0, 0, 0, 200, 300)[..., 0], picture)


def test_metadata_without_end_is_refused_before_it_fills_the_memory(serve, monkeypatch):
    from napari_sam.io.images.formats.zarr import zarr_store

    class Endless(Quiet):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" " * (1 << 16))
            except OSError:
                pass

    monkeypatch.setattr(zarr_store, "_JSON_BYTES", 4 << 20)
    with pytest.raises(ImageError, match="more than 4 MiB"):
        open_image(f"{serve(Endless)}/a.zarr")


def test_a_server_whose_every_path_is_a_folder_of_images_is_not_followed(serve):
    asked = []

    class Groups(Quiet):
        def do_GET(self):
            asked.append(self.path)
            content = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"bioformats2raw.layout": 3}}}
            data = json.dumps(content).encode() if self.path.endswith("zarr.json") else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with pytest.raises(ImageError, match="without multiscales"):
        open_image(f"{serve(Groups)}/a.zarr")
    assert len(asked) < 80
