"""Workers of a run without Prefect: threads of this process, or processes of a Dask cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from multiprocessing import resource_tracker
from typing import Any

from pipelines.errors import ConfigurationError
from pipelines.settings import Settings


@contextmanager
def open_pool(settings: Settings, count: int) -> Iterator[Executor]:
    """Open a pool for `count` workers: threads or Dask, by the setting `run.task_runner`.

    Raise ConfigurationError if the extra is missing, OSError if no scheduler responds at
    `run.dask_address`.
    """
    if settings.run.task_runner == "threads":
        with ThreadPoolExecutor(count, thread_name_prefix="worker") as pool:
            yield pool
        return
    dask = _import_dask()

    if settings.run.dask_address:
        with dask.Client(settings.run.dask_address) as client:
            yield _executor(client)
        return
    with ThreadPoolExecutor(1, initializer=_hold_ctrl_c) as starter:
        start = partial(dask.LocalCluster, **local_cluster_options(count))
        with starter.submit(start).result() as cluster, dask.Client(cluster) as client:
            yield _executor(client)


def _hold_ctrl_c() -> None:
    """Block Ctrl-C for the processes that this thread starts: each printed a traceback of its own.

    A terminal sends Ctrl-C to all of them. They end with the run's process.
    """
    if hasattr(signal, "pthread_sigmask"):
        # Python's resource tracker unblocks Ctrl-C when it starts, so it starts first.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _import_dask() -> Any:
    # A worker returns its error to the run. Dask's log would show tracebacks as well, even of a
    # cluster that is being closed.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    try:
        return import_module("distributed")
    except ModuleNotFoundError:
        raise ConfigurationError(
            'run.task_runner = "dask" needs more packages: pip install "person-sync[dask]", or '
            'write "threads"'
        ) from None


def local_cluster_options(count: int) -> dict[str, Any]:
    """Return the options of a Dask cluster of this machine, for one run alone.

    It uses TLS with keys of its own: other users of this machine cannot send it work.
    """
    here = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    return {**here, "security": True, "protocol": "tls://"}


def _executor(client: Any) -> Executor:
    # All workers get equal arguments, and Dask would call a pure function once for all of them.
    pool: Executor = client.get_executor(pure=False)
    return pool
