from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import pytest

from napari_sam.errors import CancelledError, SettingsError
from napari_sam.jobs.process_pool import ProcessPool, TaskQueue
from tests.jobs import pool_tasks


def pool(**options):
    return ProcessPool(2, initializer=pool_tasks.start_quickly, **options)


def test_a_task_that_a_broken_pool_refuses_is_not_lost(monkeypatch):
    submit, calls = ProcessPoolExecutor.submit, []

    def broken_at_the_third_call(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise BrokenProcessPool("a process died")
        return submit(self, *arguments)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", broken_at_the_third_call)
    handler = pool_tasks.Collected()
    pool().run(pool_tasks.wait_a_little, ["a", "b", "c"], handler)
    assert handler.results == {"a": None, "b": None, "c": None}


def test_a_lost_task_is_queued_until_its_attempts_are_used_up():
    queue = TaskQueue(["a", "b"], attempts=3)
    task = queue.waiting.popleft()
    assert queue.retry(task)
    assert list(queue.waiting) == ["b", "a"]
    assert queue.retry(task)
    assert not queue.retry(task)
    assert (queue.attempt("a"), queue.attempt("b"), queue.total) == (3, 0, 2)


def test_all_tasks_are_run_although_processes_die_ten_times(tmp_path):
    handler = pool_tasks.Collected()
    tasks = [f"t{n}" for n in range(6)] + ["bad"]
    pool().run(partial(pool_tasks.kill_process_ten_times, str(tmp_path)), tasks, handler)
    assert len(list(tmp_path.glob("death-*"))) == 10
    assert handler.results == {**dict.fromkeys(tasks), "bad": "bad chunk"}
    assert {p.name for p in tmp_path.glob("done-*")} == {f"done-{t}" for t in tasks}


def test_a_task_that_kills_every_process_is_abandoned_and_the_rest_is_run():
    handler = pool_tasks.Collected()
    pool(attempts=2, in_flight=1).run(pool_tasks.kill_process, ["deadly", "a", "b"], handler)
    assert handler.abandoned == {"deadly": 2}
    assert handler.results == {"a": "A", "b": "B"}


def test_processes_that_are_killed_while_they_start_are_started_again(tmp_path):
    handler = pool_tasks.Collected()
    starter = partial(pool_tasks.kill_at_start, str(tmp_path), 1)
    ProcessPool(1, initializer=starter).run(pool_tasks.kill_process, ["a", "b"], handler)
    assert handler.results == {"a": "A", "b": "B"}


def test_processes_that_are_always_killed_give_advice_about_memory(tmp_path):
    starter = partial(pool_tasks.kill_at_start, str(tmp_path), 99)
    with pytest.raises(SettingsError, match=r"killed while they start \(signal 9\).*fewer workers"):
        ProcessPool(1, initializer=starter).run(pool_tasks.kill_process, ["a"], pool_tasks.Collected())


def test_a_handler_may_stop_the_pool_at_an_abandoned_task():
    class Strict(pool_tasks.Collected):
        def on_abandoned(self, task, attempts):
            raise MemoryError(f"{task} died {attempts} times")

    with pytest.raises(MemoryError, match="deadly died 1 times"):
        pool(attempts=1, in_flight=1).run(pool_tasks.kill_process, ["deadly", "a"], Strict())


def test_the_first_error_of_a_task_stops_the_pool():
    with pytest.raises(ValueError, match="is wrong"):
        pool().run(pool_tasks.fail, ["a", "b", "c"], pool_tasks.Collected())


def test_a_cancelled_pool_keeps_what_is_finished():
    handler = pool_tasks.Collected()
    with pytest.raises(CancelledError, match="finished work is kept"):
        pool().run(pool_tasks.wait_a_little, [f"t{n}" for n in range(50)], handler, lambda: len(handler.results) > 2)
    assert 2 < len(handler.results) < 20


def test_no_task_starts_no_process():
    ProcessPool(2, initializer=pool_tasks.fail).run(pool_tasks.fail, [], pool_tasks.Collected())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_processes_that_end_at_once_are_an_error_about_workers():
    with pytest.raises(SettingsError, match="__main__") as raised:
        ProcessPool(1, initializer=pool_tasks.fail).run(pool_tasks.wait_a_little, ["a"], pool_tasks.Collected())
    assert raised.value.parameter == "workers"
