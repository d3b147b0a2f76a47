"""What a flow run shows in Prefect: its name, tags, log lines, progress, summary and chart.

Nothing of it is needed by the run: when Prefect does not accept it, the run continues.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from prefect import runtime
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import FailedRun
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Crashed

from pipelines.errors import ConfigurationError, SyncError
from pipelines.orchestration import artifacts
from pipelines.process import logs
from pipelines.run import summaries
from pipelines.run.connections import open_store
from pipelines.run.summaries import Summary
from pipelines.settings import Settings
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse

log = logging.getLogger(__name__)

T = TypeVar("T")

SERVER_SECONDS: Final = 3.0  # how long a command waits for a server's response
PROGRESS_SECONDS: Final = 3.0  # between two updates of the progress bar
RESUME: Final = "resume"  # the deployment that completes open batches


class RunPage:
    """The page of the flow run that this process is in. `run_mode` as in `sync_runs`."""

    def __init__(self, run_mode: str) -> None:
        self.run_mode = run_mode
        self.flow_run_id: str | None = runtime.flow_run.id
        self._person_count = 0
        self._is_away = False

    def begin(self) -> None:
        """Name the flow run by its deployment and day, and tag it by its mode."""
        tags = {*runtime.flow_run.tags, self.run_mode}
        if (runtime.flow_run.run_count or 1) > 1:
            tags.add("retry")
        self._update(name=self._name(None), tags=sorted(tags))

    def found(self, person_count: int) -> None:
        """Add the number of persons to the flow run's name."""
        self._person_count = person_count
        self._update(name=self._name(person_count))

    @contextmanager
    def progress(self, settings: Settings, run_id: str) -> Iterator[None]:
        """Keep a progress bar at the share of persons with an outcome, while the block runs."""
        ended = threading.Event()
        context = contextvars.copy_context()
        arguments = (self._show_progress, settings, run_id, ended)
        watcher = threading.Thread(target=context.run, args=arguments, name="page", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join(timeout=PROGRESS_SECONDS)

    def crashed(self) -> None:
        """Set the flow run to Crashed: it would stay Running while its workers are joined."""
        if self.flow_run_id is not None:
            with get_client(sync_client=True, httpx_settings={"timeout": 1.0}) as client:
                state: State[Any] = Crashed(message="its process was interrupted")
                client.set_flow_run_state(UUID(self.flow_run_id), state)

    def finished(self, summary: Summary) -> None:
        """Show the summary and the chart of a finished run."""
        self._show(summaries.balance(summary["run"]), artifacts.as_markdown(summary), summary)

    def failed(
        self, settings: Settings | None, run_id: str, sentence: str, error: Exception
    ) -> str:
        """Show what a failed run did. Return the message of its state."""
        summary = _summary_of(settings, run_id)
        if not isinstance(error, SyncError):
            message = sentence
        else:
            message = summaries.failure(error, summary, resumes_at=self._try(_next_resume))
        log.error("%s", message)
        if summary is None:
            self._show("Failed before it began", artifacts.failed_before_start(message), None)
        else:
            equation = summaries.balance(summary["run"])
            self._show(equation, artifacts.as_markdown(summary, message), summary)
        return message

    def _name(self, person_count: int | None) -> str:
        scheduled = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
        moment = f"{scheduled:%Y-%m-%d %H:%M}" if self.run_mode == RESUME else f"{scheduled:%F}"
        name = f"{_which_run(self.run_mode)} {moment}"
        if person_count is None:
            return name
        return f"{name} · {person_count:,} {'person' if person_count == 1 else 'persons'}"

    def _update(self, **changes: Any) -> None:
        if self.flow_run_id is not None:
            self._try(lambda: _update_flow_run(str(self.flow_run_id), changes))

    def _try(self, call: Callable[[], T]) -> T | None:
        """Return what the call returns; None when Prefect does not accept it, which is logged once.

        Prefect's client retries each call to a server that is away for half a minute. So after the
        first such call no other is made.
        """
        if self._is_away:
            return None
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - whatever a server or its client raises
            self._is_away = isinstance(error, httpx.TransportError)
            log.warning("Prefect: the run's page is not complete (%s)", type(error).__name__)
            return None

    def _show(self, about: str, markdown: str, summary: Summary | None) -> None:
        key = f"person-sync-{self.run_mode}"
        self._try(lambda: create_markdown_artifact(markdown, key=key, description=about))
        chart = artifacts.chart(summary) if summary else None
        if chart is not None:
            name = f"{key}-chart"
            self._try(lambda: create_image_artifact(chart, key=name, description=about))

    def _show_progress(self, settings: Settings, run_id: str, ended: threading.Event) -> None:
        """Show the bar until the run has ended; there is none while the warehouse is away."""
        while not ended.wait(PROGRESS_SECONDS):
            if self._person_count:
                with suppress(SyncError), open_store(settings) as warehouse:
                    self._follow(warehouse, run_id, ended)
                    return

    def _follow(self, warehouse: Warehouse, run_id: str, ended: threading.Event) -> None:
        key, shown = f"person-sync-{self.run_mode}-progress", 0.0
        artifact_id: Any = self._try(lambda: create_progress_artifact(shown, key=key))
        while artifact_id is not None:
            counts = ledger.run_counts(warehouse, run_id)
            decided_count = counts.read_count - counts.open_count
            percent = 100 * min(1.0, decided_count / self._person_count)
            if percent != shown:
                self._try(partial(update_progress_artifact, artifact_id, progress=percent))
                shown = percent
            if ended.wait(PROGRESS_SECONDS):
                return


def why_without_server() -> str | None:
    """Return the reason why no Prefect server can be used; None if one responds.

    Raise ConfigurationError if it responds and denies access.
    """
    url = PREFECT_API_URL.value()
    if not url:
        return "no server is named (PREFECT_API_URL or a profile)"
    where = urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise ConfigurationError(
            "PREFECT_API_URL is no address: write http://HOST:4200/api, or leave it empty to run "
            "without Prefect"
        )
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        client = get_client(sync_client=True, httpx_settings={"timeout": SERVER_SECONDS})
        with client:
            trouble = client.api_healthcheck()
    response = getattr(trouble, "response", None)
    if trouble is None:
        return None
    if response is not None and response.status_code in (401, 403):
        raise ConfigurationError(
            f"the Prefect server at {where.hostname} denies access: set PREFECT_API_KEY or "
            "PREFECT_API_AUTH_STRING, or leave PREFECT_API_URL empty"
        )
    port = f":{where.port}" if where.port else ""
    return f"no server answers at {where.scheme}://{where.hostname}{port}"


def log_to_prefect() -> None:
    """Send our log lines to the page of their flow run. May be repeated.

    With a handler of our own: PREFECT_LOGGING_EXTRA_LOGGERS would have to be set everywhere.
    """
    logs.set_levels()
    ours = logging.getLogger(logs.OURS)
    if not any(isinstance(handler, APILogHandler) for handler in ours.handlers):
        ours.addHandler(_PageHandler(level=logging.INFO))
    for name in ("prefect.task_runs", "prefect.flow_runs", "prefect.engine"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, _NoNeedlessTraceback) for one in logger.filters):
            logger.addFilter(_NoNeedlessTraceback())


class _PageHandler(APILogHandler):
    """Drop lines logged outside of a flow run, where Prefect would warn about each."""

    def emit(self, record: logging.LogRecord) -> None:
        if runtime.flow_run.id is not None or runtime.task_run.id is not None:
            super().emit(record)


class _NoNeedlessTraceback(logging.Filter):
    """Keep Prefect's own tracebacks out of a log that has our sentence already.

    A task that returned a failed state is logged with the traceback of no exception. A worker's
    process then adds that its engine "exited with unexpected exception": FailedRun, of that state.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for the engine's line about a failed state."""
        kind = record.exc_info[0] if record.exc_info else None
        if kind is not None and issubclass(kind, FailedRun):
            return False
        if kind is None:
            record.exc_info = None
        return True


def _which_run(run_mode: str) -> str:
    """Return the deployment's name, or the command's; with "plan" for a plan."""
    name = runtime.deployment.name or ("run" if run_mode == "live" else run_mode)
    return f"plan {name}" if run_mode == "plan" and name != "plan" else name


def _update_flow_run(flow_run_id: str, changes: dict[str, Any]) -> None:
    client: SyncPrefectClient
    with get_client(sync_client=True) as client:
        client.request("PATCH", "/flow_runs/{id}", path_params={"id": flow_run_id}, json=changes)


def _next_resume() -> datetime | None:
    """Return when the deployment `resume` is scheduled next, naive UTC; None if it is not."""
    scheduled = FlowRunFilterStateType(any_=[StateType.SCHEDULED])
    with get_client(sync_client=True) as client:
        coming = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[RESUME])),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=scheduled)),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
    expected = coming[0].expected_start_time if coming else None
    return expected.astimezone(UTC).replace(tzinfo=None) if expected else None


def _summary_of(settings: Settings | None, run_id: str) -> Summary | None:
    if settings is None:
        return None
    try:
        with open_store(settings) as warehouse:
            return summaries.summarise(warehouse, run_id)
    except SyncError:
        return None
