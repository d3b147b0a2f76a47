"""The flows as Prefect runs them: schedules, forms, states and logs.

One of the two files that import Prefect; `run_page` is the other. The ledger in the warehouse is
the memory and the lock. No step is retried by Prefect, nothing is cached, no row is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Annotated, Any, ParamSpec, TypeVar, cast

import httpx
from prefect import Task, flow, task
from prefect.blocks.system import Secret
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from pipelines import flows
from pipelines.errors import ConfigurationError, PrefectUnavailableError, SyncError
from pipelines.orchestration.run_page import RunPage, log_to_prefect, why_without_server
from pipelines.process import error_details, interruption, logs
from pipelines.run import summaries, worker_pools, workers
from pipelines.run.summaries import Summary
from pipelines.settings import Settings, load_settings
from pipelines.steps import extract, load, partition, recover, transform
from pipelines.steps.context import RunContext, RunRequest, new_run_request
from pipelines.warehouse.ledger import Slice

__all__ = ["read_block", "resume", "run_by_server", "sync_persons", "sync_persons_now"]
__all__ += ["why_without_server"]

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

Step = Callable[..., Any]

TASK_NAMES: dict[Step, str] = {
    recover.resolve_held_persons: "resolve-held-persons",
    recover.take_over_stale_batches: "take-over-stale-batches",
    extract.find_new_persons: "find-new-persons",
    extract.extract_slice: "extract",
    transform.validate_slice: "validate",
    transform.match_slice: "match",
    partition.partition_slice: "partition",
    load.load_batches: "load-batches",
    load.reconcile_batches: "reconcile-batches",
    workers.work: "process-slices",
    workers.recover_lost_workers: "recover-lost-workers",
}
# What a step counts, when it returns a number; the others return their counts in words.
COUNTED: dict[Step, str] = {
    recover.resolve_held_persons: "held persons resolved",
    recover.take_over_stale_batches: "batches taken over",
    extract.find_new_persons: "new persons",
    load.load_batches: "batches open",
    load.reconcile_batches: "batches open",
    workers.recover_lost_workers: "batches taken over",
}

# What ended the flow run of this process, for the command that called it: Prefect keeps no results.
_ended: ContextVar[list[Summary | BaseException] | None] = ContextVar("ended", default=None)


class Call:
    """A step with its arguments, and what it returned or raised.

    A plain class, because Prefect looks into lists, dicts and dataclasses. So no row of a person
    ever reaches its parameters, its results or its storage.
    """

    def __init__(self, step: Step, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._step, self._arguments, self._options = step, arguments, options
        self._result: list[Any] = []
        self.error: Exception | None = None

    def run(self) -> State[Any]:
        """Run the step; return the state of its task, with the counts as its message."""
        try:
            result = self._step(*self._arguments, **self._options)
        except Exception as error:  # noqa: BLE001 - raised by the caller, in the flow itself
            self.error = error
            return Failed(message=_sentence(error))
        finally:
            self._arguments = ()  # a slice passed on is in memory once
        self._result.append(result)
        noun = COUNTED.get(self._step)
        return Completed(message=f"{result:,} {noun}" if noun else str(result))

    def take_result(self) -> Any:
        """Return what the step returned, and keep no reference to it."""
        return self._result.pop()


class Steps:
    """Runs each step as a Prefect task of its own name, and passes on what the step raised.

    An error of ours makes a failed task with its sentence; Prefect would log a traceback for it.
    """

    def __init__(self, page: RunPage) -> None:
        self._page = page
        self._positions = ""

    def __call__(self, step: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
        """Run the step; return what it returns."""
        call = Call(step, arguments, options)
        name = TASK_NAMES[step]
        if step in SLICE_STEPS:
            self._positions = _positions(arguments)
        suffix = f" {self._positions}" if step in (*SLICE_STEPS, load.load_batches) else ""
        run_task = TASKS[step].with_options(task_run_name=f"{name}{suffix}")
        cast(State[Any], run_task(call, return_state=True))
        if call.error is not None:
            raise call.error
        if step is extract.find_new_persons:
            self._page.found(cast(RunContext, arguments[0]).person_count)
        return cast(T, call.take_result())


SLICE_STEPS: tuple[Step, ...] = (
    extract.extract_slice,
    transform.validate_slice,
    transform.match_slice,
    partition.partition_slice,
)


def _positions(arguments: tuple[Any, ...]) -> str:
    """Return the positions of the slice that a step is given."""
    run, given = arguments
    return cast(RunContext, run).slice_name(given if isinstance(given, Slice) else given.part)


# Task retries would send persons twice; the next run finds in the ledger where to go on. Inputs
# are not hashed: half a second and 330 MB for a million rows. Results are not kept.
prefect_task = task(cache_policy=NO_CACHE, persist_result=False, retries=0)


def _run_call(call: Call) -> State[Any]:
    return call.run()


TASKS: dict[Step, Task[..., Any]] = {
    step: prefect_task(_run_call).with_options(name=name)
    for step, name in TASK_NAMES.items()
    if step is not workers.work
}


@contextmanager
def start_workers(runner: TaskRunner[Any], run: RunContext) -> Iterator[None]:
    """Share the slices among workers, each a task that reads its own settings."""
    given = {"spec": workers.worker_spec(run), "read_settings": read_settings}
    with runner, workers.stop_on_error(run):
        futures = [runner.submit(WORKER_TASK, given) for _ in range(run.worker_count)]
        yield
        workers.collect_results(run, [future.result for future in futures])


def _work(spec: workers.WorkerSpec, read_settings: Callable[[], Settings]) -> int | State[Any]:
    log_to_prefect()
    try:
        return workers.work(spec, read_settings)
    except SyncError as error:
        return Failed(message=str(error), data=error)
    except Exception as error:  # noqa: BLE001 - Prefect would log its text, which may quote a row
        return Failed(message=error_details.keep(error, "worker"))


WORKER_TASK = prefect_task(_work).with_options(name=TASK_NAMES[workers.work])


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
) -> State[Any]:
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
    page = RunPage("plan" if plan else "live")
    request = new_run_request(
        page.run_mode,
        owner=owner,
        person_ids=None if person_ids is None else tuple(person_ids),
        limit=limit,
        flow_run_id=page.flow_run_id,
        workers=workers,
    )

    def sync(settings: Settings) -> Summary:
        start = partial(start_workers, task_runner(settings, workers))
        return flows.sync(settings, request, Steps(page), start)

    return _run(page, request, sync)


@flow(name="sync-persons-now", persist_result=False)
def sync_persons_now(person_ids: Annotated[list[str], Field(min_length=1)]) -> State[Any]:
    """Sync a few persons immediately, without waiting for the schedule.

    Args:
        person_ids: These persons, by their id in the warehouse.
    """
    page = RunPage("now")
    ids = tuple(person_ids)
    request = new_run_request("now", person_ids=ids, flow_run_id=page.flow_run_id)
    return _run(page, request, lambda settings: flows.sync(settings, request, Steps(page)))


@flow(name="resume", persist_result=False)
def resume() -> State[Any]:
    """Carry open batches of earlier runs to their end; claim no new person."""
    page = RunPage("resume")
    request = new_run_request("resume", flow_run_id=page.flow_run_id)
    return _run(
        page, request, lambda settings: flows.complete_open_batches(settings, request, Steps(page))
    )


def run_by_server(**parameters: Any) -> Summary:
    """Run `sync-persons` as a flow run of the Prefect server that is named; return its summary.

    Raise what the run raised, and PrefectUnavailableError when the server went away before the run
    began. When it goes away later the run ends all the same, and its summary is returned.
    """
    ended: list[Summary | BaseException] = []
    token = _ended.set(ended)
    try:
        sync_persons(**parameters, return_state=True)
    except (httpx.HTTPError, PrefectException, RuntimeError):
        if not ended:
            raise PrefectUnavailableError(
                "the Prefect server went away before the run began: run again, or leave "
                "PREFECT_API_URL empty to run without it"
            ) from None
        log.warning("Prefect: the server went away; the run has ended without it")
    finally:
        _ended.reset(token)
    if not ended:
        raise PrefectUnavailableError("Prefect did not let the run begin: see its page")
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def read_settings() -> Settings:
    """Return the settings of this machine, secrets from the environment or Secret blocks."""
    return load_settings(read_block=read_block)


def read_block(name: str) -> str:
    """Return the value of a Prefect Secret block. Raise ConfigurationError if there is none."""
    try:
        return cast(Secret[str], Secret.load(name)).get()
    except ValueError:
        raise ConfigurationError(f"there is no Prefect Secret block {name}: create it") from None


def _run(page: RunPage, request: RunRequest, steps: Callable[[Settings], Summary]) -> State[Any]:
    """Run the steps, show what became of them, and return the state of the flow run."""
    logs.set_levels()
    log_to_prefect()
    settings: Settings | None = None
    ended = _ended.get()
    page.begin()
    try:
        settings = read_settings()
        with page.progress(settings, request.run_id), interruption.reporting(page.crashed):
            summary = steps(settings)
    except Exception as error:  # noqa: BLE001 - told in one sentence, and raised by the command
        sentence = _sentence(error)
        if ended is not None:
            ended.append(error)
        elif not isinstance(error, SyncError):
            sentence = error_details.keep(error, request.run_mode)
        return Failed(message=page.failed(settings, request.run_id, sentence, error))
    if ended is not None:
        ended.append(summary)
    page.finished(summary)
    message = summaries.balance(summary["run"])
    found = summaries.attention(summary, settings.run.allowed_reject_share)
    if found and settings.run.on_many_rejected == "fail":
        return Failed(name=found, message=message)
    return Completed(message=message)


def _sentence(error: Exception) -> str:
    """Return the error's sentence; of an error that is not ours only its type, for its text may
    quote a row."""
    if isinstance(error, SyncError):
        return str(error)
    return f"unexpected error ({type(error).__name__})"
