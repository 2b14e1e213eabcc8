import pytest


@pytest.fixture(scope="package")
def cluster():
    """A client of two workers that are replaced when they die."""
    distributed = pytest.importorskip("distributed")
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.comm.timeouts.connect": "30s"}):
        made = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        )
        client = distributed.Client(made, set_as_default=False)  # which outlives the tests of this folder
        yield client
        client.close()
        made.close()
