from functools import partial

import pytest

from napari_sam.errors import DeviceError, SettingsError
from napari_sam.jobs.dask_pool import DaskPool
from tests.jobs import pool_tasks

distributed = pytest.importorskip("distributed")


def test_all_tasks_are_run_although_workers_are_killed_ten_times(cluster, tmp_path):
    handler = pool_tasks.Collected()
    DaskPool(cluster).run(partial(pool_tasks.kill_process_ten_times, str(tmp_path)), ["a", "b", "bad"], handler)
    assert len(list(tmp_path.glob("death-*"))) == 10
    assert handler.results == {"a": None, "b": None, "bad": "bad chunk"}


def test_a_cluster_without_workers_is_an_error_and_finished_tasks_are_kept():
    made = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50)
    with made, distributed.Client(made) as client:
        handler = pool_tasks.Collected(on_result=lambda: made.scale(0))
        with pytest.raises(DeviceError, match=r"no worker.*resume=True"):
            DaskPool(client, no_workers_s=1.0).run(pool_tasks.wait_a_little, [f"t{n}" for n in range(30)], handler)
        assert 0 < len(handler.results) < 30


def test_only_workers_with_a_gpu_get_tasks_if_there_are_any(tmp_path):
    gpu = {"cls": distributed.Worker, "options": {"nthreads": 1, "resources": {"GPU": 1}}}
    cpu = {"cls": distributed.Worker, "options": {"nthreads": 1}}
    made = distributed.SpecCluster(
        {"gpu": gpu, "cpu": cpu},
        {"cls": distributed.Scheduler, "options": {"dashboard_address": ":0"}},
        silence_logs=50,
    )
    with made, distributed.Client(made) as client:
        client.wait_for_workers(2)
        function = partial(pool_tasks.leave_worker_name, str(tmp_path))
        DaskPool(client).run(function, ["a", "b", "c", "d"], pool_tasks.Collected())
    assert {p.name for p in tmp_path.glob("on-*")} == {f"on-gpu-{n}" for n in "abcd"}


def test_an_object_that_is_no_client_is_refused():
    with pytest.raises(SettingsError, match=r"give a distributed\.Client") as raised:
        DaskPool("tcp://nobody:1")
    assert raised.value.parameter == "client"
