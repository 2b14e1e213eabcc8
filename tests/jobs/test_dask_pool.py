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


def test_a_result_that_left_with_its_worker_is_computed_again(monkeypatch):
    wait_for_result, timeouts = distributed.Future.result, []

    def result_is_gone_at_first(self, timeout=None):
        timeouts.append(timeout)
        if len(timeouts) == 1:
            raise TimeoutError
        return wait_for_result(self, timeout)

    made = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50)
    with made, distributed.Client(made) as client:
        monkeypatch.setattr(distributed.Future, "result", result_is_gone_at_first)
        handler = pool_tasks.Collected()
        DaskPool(client).run(pool_tasks.wait_a_little, ["a", "b", "c"], handler)
    assert handler.results == {"a": None, "b": None, "c": None}
    assert len(timeouts) == 4
    assert timeouts[1] == 2 * timeouts[0]  # a slow network gets longer


def test_a_timeout_of_the_function_itself_is_its_error():
    made = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50)
    with made, distributed.Client(made) as client, pytest.raises(TimeoutError, match="t0 took too long"):
        DaskPool(client).run(pool_tasks.time_out, ["t0"], pool_tasks.Collected())


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
