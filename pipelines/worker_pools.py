"""Where the workers of a run work without Prefect: threads here, or processes of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pipelines.settings import Settings


@contextmanager
def open_pool(settings: Settings, count: int) -> Iterator[Executor]:
    """Open a pool for `count` workers, as `run.task_runner` says.

    Raises OSError when no scheduler answers at `run.dask_address`.
    """
    if settings.run.task_runner == "threads":
        with ThreadPoolExecutor(count, thread_name_prefix="worker") as pool:
            yield pool
        return
    dask: Any = import_module("distributed")  # of the extra person-sync[dask]

    if settings.run.dask_address:
        with dask.Client(settings.run.dask_address) as client:
            yield _executor(client)
        return
    with (
        dask.LocalCluster(**local_cluster_options(count)) as cluster,
        dask.Client(cluster) as client,
    ):
        yield _executor(client)


def local_cluster_options(count: int) -> dict[str, Any]:
    """Return the options of a Dask cluster of this machine, for one run alone.

    By TLS with keys of its own: other users of this machine cannot send it work.
    """
    here = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    return {**here, "security": True, "protocol": "tls://"}


def _executor(client: Any) -> Executor:
    # Two workers are told the same; a pure function would be called once for both.
    pool: Executor = client.get_executor(pure=False)
    return pool
