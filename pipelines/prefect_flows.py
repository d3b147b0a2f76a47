"""The flows as Prefect runs them: schedules, forms, states, logs and pages to look at.

The only file that imports Prefect. The ledger in the warehouse is the memory and the lock: no step
is retried by Prefect, nothing is cached, and no row passes through a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Final, cast
from urllib.parse import urlsplit
from uuid import UUID

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.system import Secret
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from prefect.states import Crashed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from pipelines import flows, interruption, runs, worker_pools
from pipelines import workers as crew
from pipelines.errors import SettingsWrong
from pipelines.settings import Settings, load_settings
from pipelines.summaries import Summary, as_markdown

SERVER_SECONDS: Final = 3.0  # how long a command waits to hear whether a server answers

# Task retries would send persons twice; the next run finds in the ledger where to go on. Inputs
# are not hashed: half a second and 330 MB for a million rows. Results are not kept.
prefect_task = task(cache_policy=NO_CACHE, persist_result=False, retries=0)

TASK_NAMES: dict[Callable[..., int], str] = {
    runs.settle_held: "resolve-held-persons",
    runs.take_abandoned: "take-over-stale-batches",
    runs.list_persons: "find-new-persons",
    runs.judge: "decide-slice",
    runs.send: "load-batches",
    runs.settle: "reconcile-batches",
    crew.work: "process-slices",
    crew.take_left: "recover-lost-workers",
}
TASKS = {step: prefect_task(step).with_options(name=name) for step, name in TASK_NAMES.items()}


def as_task(step: Callable[..., int], *arguments: Any) -> int:
    """Run a step as a Prefect task of its own name."""
    return TASKS[step](*arguments)


@contextmanager
def start_workers(runner: TaskRunner[Any], run: runs.Run) -> Iterator[None]:
    """Share the slices among workers, each a task that reads its own settings."""
    told = {"share": crew.share_of(run), "read_settings": read_settings}
    with runner, crew.directed(run):
        futures = [runner.submit(TASKS[crew.work], told) for _ in range(run.worker_count)]
        yield
        crew.hear(run, [future.result for future in futures])


def task_runner(settings: Settings, count: int | None) -> TaskRunner[Any]:
    """Return where workers work: threads here, or a Dask cluster. Nothing is started yet."""
    count = count or settings.run.workers
    if settings.run.task_runner == "threads":
        return ThreadPoolTaskRunner(max_workers=count)
    from prefect_dask.task_runners import DaskTaskRunner  # of the extra person-sync[dask]

    if settings.run.dask_address:
        return DaskTaskRunner(address=settings.run.dask_address)
    return DaskTaskRunner(cluster_kwargs=worker_pools.local_cluster_options(count))


# The arguments are explained in the docstrings because Prefect makes its form's help from them.
@flow(name="sync-persons", persist_result=False)
def sync_persons(
    owner: str | None = None,
    person_ids: list[str] | None = None,
    limit: Annotated[int, Field(ge=1)] | None = None,
    plan: bool = False,
    workers: Annotated[int, Field(ge=1, le=64)] | None = None,
) -> Summary:
    """Every new person of the warehouse becomes a Salesforce lead, or is accounted for.

    Args:
        owner: Who owns the leads of this run when neither the person nor a choice says so:
            rules, rule:NAME, user:USERNAME or queue:DEVELOPER_NAME. None: as the settings say.
        person_ids: Only these persons, by their id in the warehouse (never names or e-mails:
            parameters are stored in plain text). None: everybody who is new.
        limit: At most so many persons, the earliest first. None: all.
        plan: Decide everything, row by row, into planned_persons, and send nothing.
        workers: So many share the run between them. None: as the settings say.
    """
    settings = read_settings()
    request = runs.new_request(
        "plan" if plan else "live",
        owner=owner,
        person_ids=None if person_ids is None else tuple(person_ids),
        limit=limit,
        flow_run_id=runtime.flow_run.id,
        workers=workers,
    )
    start = partial(start_workers, task_runner(settings, workers))
    with interruption.reporting(partial(report_crash, runtime.flow_run.id)):
        return _tell(flows.sync(settings, request, as_task, start))


@flow(name="sync-persons-now", persist_result=False)
def sync_persons_now(person_ids: Annotated[list[str], Field(min_length=1)]) -> Summary:
    """Sync a few persons immediately, without waiting for the schedule.

    Args:
        person_ids: These persons, by their id in the warehouse.
    """
    request = runs.new_request("now", person_ids=tuple(person_ids), flow_run_id=runtime.flow_run.id)
    return _tell(flows.sync(read_settings(), request, as_task))


@flow(name="resume", persist_result=False)
def resume() -> Summary:
    """Carry open batches of earlier runs to their end; claim no new person."""
    request = runs.new_request("resume", flow_run_id=runtime.flow_run.id)
    return _tell(flows.carry_on(read_settings(), request, as_task))


def why_without_server() -> str | None:
    """Return why no flow can run by a Prefect server, in words; None where one answers.

    Raise SettingsWrong where it answers and does not let us in.
    """
    url = PREFECT_API_URL.value()
    if not url:
        return "no server is named (PREFECT_API_URL or a profile)"
    where = urlsplit(url)
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        client = get_client(sync_client=True, httpx_settings={"timeout": SERVER_SECONDS})
        with client:
            trouble = client.api_healthcheck()
    response = getattr(trouble, "response", None)
    if trouble is None:
        return None
    if response is not None and response.status_code in (401, 403):
        raise SettingsWrong(
            f"the Prefect server at {where.hostname} does not let us in: set PREFECT_API_KEY or "
            "PREFECT_API_AUTH_STRING, or leave PREFECT_API_URL empty"
        )
    return f"no server answers at {where.scheme}://{where.hostname}:{where.port or ''}"


def report_crash(flow_run_id: str) -> None:
    """Set a flow run of this process to Crashed: it would stay Running when workers are joined."""
    with get_client(sync_client=True, httpx_settings={"timeout": 1.0}) as client:
        state: State[Any] = Crashed(message="its process was interrupted")
        client.set_flow_run_state(UUID(flow_run_id), state)


def read_settings() -> Settings:
    """Return the settings of this machine, secrets from the environment or Secret blocks."""
    return load_settings(read_block=read_block)


def read_block(name: str) -> str:
    """Return the value of a Prefect Secret block. Raise SettingsWrong if there is none."""
    try:
        return cast(Secret[str], Secret.load(name)).get()
    except ValueError:
        raise SettingsWrong(f"there is no Prefect Secret block {name}: create it") from None


def _tell(summary: Summary) -> Summary:
    create_markdown_artifact(
        key="person-sync-summary", markdown=as_markdown(summary), description="What happened"
    )
    return summary
