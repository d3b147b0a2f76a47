"""The story: what a run does, step by step, and how patient each step is.

The only file that imports Prefect: the alarm clock, the form and the page to look at. The memory
and the lock are the ledger. A step gets the run and positions: rows never pass through Prefect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Annotated, Any, cast

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.system import Secret
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from pipelines import runs
from pipelines import workers as crew
from pipelines.errors import SettingsWrong
from pipelines.judging import Request
from pipelines.settings import Settings, load_settings
from pipelines.summaries import Summary, as_markdown

Perform = Callable[..., int]
Spread = Callable[[runs.Run], AbstractContextManager[None]]


def sync(
    settings: Settings, request: Request, perform: Perform, spread: Spread | None = None
) -> Summary:
    """Make every new person a lead, or say why not. `spread` sets several workers to it."""
    with runs.open_run(settings, request) as run:
        perform(runs.settle_held, run)
        if request.run_mode == "live":
            perform(runs.take_abandoned, run)
        perform(runs.list_persons, run)
        if spread and run.worker_count > 1:
            with spread(run):  # they judge and send; meanwhile, what earlier runs left open
                perform(runs.settle, run)
            perform(crew.take_left, run)
        else:
            for first, last in run.slices:
                perform(runs.judge, run, first, last)
                perform(runs.send, run)
        perform(runs.settle, run)
        return runs.close_run(run)


def carry_on(settings: Settings, request: Request, perform: Perform) -> Summary:
    """Carry what earlier runs left open to its end; read nobody new."""
    with runs.open_run(settings, request) as run:
        perform(runs.settle_held, run)
        perform(runs.take_abandoned, run)
        perform(runs.settle, run)
        return runs.close_run(run)


def plainly(step: Callable[..., int], *arguments: Any) -> int:
    """Perform a step without Prefect."""
    return step(*arguments)


# No step is retried by Prefect: that is a source of duplicates, not a cure; the next run finds in
# the ledger where to go on. Inputs are not hashed, results not kept.
as_step = task(cache_policy=NO_CACHE, persist_result=False, retries=0)

NAMES: dict[Callable[..., int], str] = {
    runs.settle_held: "settle-held-persons",
    runs.take_abandoned: "take-abandoned-batches",
    runs.list_persons: "list-new-persons",
    runs.judge: "judge-slice",
    runs.send: "send-batches",
    runs.settle: "settle-batches",
    crew.work: "work",
    crew.take_left: "take-what-workers-left",
}
TASKS = {step: as_step(step).with_options(name=name) for step, name in NAMES.items()}


def as_task(step: Callable[..., int], *arguments: Any) -> int:
    """Perform a step as a Prefect task of its own name."""
    return TASKS[step](*arguments)


@contextmanager
def spread_by(runner: TaskRunner[Any], run: runs.Run) -> Iterator[None]:
    """Workers share the run, each a task that reads its own settings; at the end all are heard."""
    told = {"share": crew.share_of(run), "read_settings": read_settings}
    with runner, crew.directed(run):
        futures = [runner.submit(TASKS[crew.work], told) for _ in range(run.worker_count)]
        yield
        crew.hear(run, [future.result for future in futures])


def task_runner(settings: Settings, count: int | None) -> TaskRunner[Any]:
    """Where workers work: threads here, or processes of a Dask cluster. Nothing is started yet."""
    count = count or settings.run.workers
    if settings.run.task_runner == "threads":
        return ThreadPoolTaskRunner(max_workers=count)
    from prefect_dask.task_runners import DaskTaskRunner  # of the extra person-sync[dask]

    if settings.run.dask_address:
        return DaskTaskRunner(address=settings.run.dask_address)
    here = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    # By TLS with keys of its own: whoever else is on this machine has no say in it.
    return DaskTaskRunner(cluster_kwargs={**here, "security": True, "protocol": "tls://"})


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
    spread = partial(spread_by, task_runner(settings, workers))
    return _tell(sync(settings, request, as_task, spread))


@flow(name="sync-person", persist_result=False)
def sync_person(person_ids: Annotated[list[str], Field(min_length=1)]) -> Summary:
    """A few persons become leads now, without waiting for the schedule.

    Args:
        person_ids: These persons, by their id in the warehouse.
    """
    request = runs.new_request("now", person_ids=tuple(person_ids), flow_run_id=runtime.flow_run.id)
    return _tell(sync(read_settings(), request, as_task))


@flow(name="resume-batches", persist_result=False)
def resume_batches() -> Summary:
    """Open batches of earlier runs are carried to their end; nobody new is claimed."""
    request = runs.new_request("resume", flow_run_id=runtime.flow_run.id)
    return _tell(carry_on(read_settings(), request, as_task))


def read_settings() -> Settings:
    """The settings of this machine, secrets from the environment or Prefect Secret blocks."""
    return load_settings(read_block=read_block)


def sync_now(settings: Settings, person_ids: Sequence[str]) -> Summary:
    """Sync a few persons without Prefect: its server alone takes longer than they do."""
    return sync(settings, runs.new_request("now", person_ids=tuple(person_ids)), plainly)


def resume(settings: Settings, *, adopts_jobs: bool = False) -> Summary:
    """Resume without Prefect; `adopts_jobs`: jobs the ledger does not know count as known."""
    return carry_on(settings, runs.new_request("resume", adopts_jobs=adopts_jobs), plainly)


def read_block(name: str) -> str:
    """The value of a Prefect Secret block. Raises SettingsWrong for one that is not there."""
    try:
        return cast(Secret[str], Secret.load(name)).get()
    except ValueError:
        raise SettingsWrong(f"there is no Prefect Secret block {name}: create it") from None


def _tell(summary: Summary) -> Summary:
    create_markdown_artifact(
        key="person-sync-summary", markdown=as_markdown(summary), description="What happened"
    )
    return summary
