"""How torch's threads wait: what OpenMP itself reports, in this process and in workers, and decoding on one thread."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from src_models.networks.sam import build_sam
from src_models.runtime import Runner
from src_models.thread_waiting import WAITING_VARIABLES, choose_waiting, one_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what GNU OpenMP reports")


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return build_sam("default")


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code where the user has chosen nothing but `environ`; OpenMP reports its settings when it is loaded."""
    clean = {name: value for name, value in os.environ.items() if name not in WAITING_VARIABLES}
    variables = {**clean, "OMP_DISPLAY_ENV": "VERBOSE", **environ}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables)


@on_linux
@pytest.mark.parametrize("package", ["napari_sam", "src_models"])
def test_threads_do_not_spin_if_torch_is_loaded_after_the_package(package):
    assert "GOMP_SPINCOUNT = '0'" in run(f"import {package}, torch").stderr


@on_linux
def test_threads_spin_as_the_user_chose():
    assert "GOMP_SPINCOUNT = '77'" in run("import napari_sam, torch", GOMP_SPINCOUNT="77").stderr


@on_linux
def test_worker_processes_do_not_spin():
    code = (
        "from napari_sam.jobs.process_pool import ProcessPool\n"
        "from tests.jobs.pool_tasks import Collected, kill_process\n"
        "ProcessPool(1).run(kill_process, ['a'], Collected())"
    )
    assert "GOMP_SPINCOUNT = '0'" in run(code).stderr  # of the worker: this process does not load torch


@pytest.mark.parametrize(
    ("imports", "environ", "expected"),
    [
        ("import torch, src_models", {}, "True"),
        ("import src_models, torch", {}, "False"),
        ("import torch, src_models", {"OMP_WAIT_POLICY": "ACTIVE"}, "False"),
    ],
)
def test_few_prompts_are_decoded_on_one_thread_if_torch_was_loaded_first(imports, environ, expected):
    code = (
        f"{imports}\n"
        "from src_models.runtime import Runner\n"
        "print(Runner(src_models.build_sam('default'), 'cpu').decode_on_one_thread)"
    )
    assert run(code, **environ).stdout.strip() == expected


def test_later_processes_do_not_spin_even_if_torch_was_loaded_first():
    environ: dict[str, str] = {}
    assert choose_waiting(environ, torch_loaded=True)
    assert not choose_waiting(environ, torch_loaded=False)
    assert environ == {"OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.usefixtures("two_threads")
def test_one_thread_holds_for_the_calling_thread_only():
    threads = []
    with one_thread():
        threads.append(torch.get_num_threads())
        other = Thread(target=lambda: threads.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert [*threads, torch.get_num_threads()] == [1, 2, 2]


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_threads_returns_after_an_error():
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("prompts", "expected"), [(1, 1), (5, 2)])
def test_only_few_prompts_are_decoded_on_one_thread(net, prompts, expected):
    threads = []
    runner = Runner(net, "cpu", "float32", decode_on_one_thread=True)
    runner.net.mask_decoder.register_forward_hook(lambda *_: threads.append(torch.get_num_threads()))
    embedding = torch.randn(1, 256, 64, 64)
    runner.decode(embedding, [(np.full((1, 2), 200, np.float32), np.ones(1, np.int64))] * prompts)
    assert threads == [expected]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("spinning", "small", "expected"), [(True, True, 1), (True, False, 2), (False, True, 2)])
def test_a_window_is_computed_on_one_thread_by_a_small_encoder_where_threads_spin(
    net, monkeypatch, spinning, small, expected
):
    size = sum(p.numel() for p in net.image_encoder.parameters())
    monkeypatch.setattr("src_models.runtime._SMALL_ENCODER", size if small else size - 1)
    runner = Runner(net, "cpu", "float32", decode_on_one_thread=spinning)
    with runner.one_window():
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2
