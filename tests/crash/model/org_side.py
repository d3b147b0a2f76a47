"""What the org does by itself: it works on jobs, loses them, and takes requests that come late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.crash.model import laws, org
from tests.crash.model.faults import OrgRejectedError
from tests.crash.model.ledger_side import held_by
from tests.crash.model.ops import Call, World
from tests.crash.model.org import RUNNING, Org


class OrgMove(NamedTuple):
    """Something the org does."""

    words: str
    world: World
    trouble_count: int = 0


def arrive(world: World, call: Call) -> World:
    """The effect of a request, whoever waits for its answer."""
    world = world._replace(broken=world.broken | laws.on_arrival(world, call))
    try:
        after, _ = getattr(org, call.name)(world.org, *call.arguments)
    except OrgRejectedError:
        return world
    return world._replace(org=after)


def is_busy(world: World) -> bool:
    """Whether a job is to be worked on."""
    return any(job.state in RUNNING and not job.is_gone for job in world.org.jobs)


def is_late(world: World) -> bool:
    """Whether a chunk of an aborted job has still to land."""
    return any(job.is_late for job in world.org.jobs)


def moves(world: World, may_be_late: bool, has_trouble: bool) -> Iterator[OrgMove]:
    """What may happen to each job next."""
    for job in world.org.jobs:
        job_id = job.job_id
        if job.is_late:
            yield OrgMove(
                f"late chunk of {job_id}", world._replace(org=org.work(world.org, job_id))
            )
        if job.is_gone:
            continue
        if job.state in RUNNING:
            after = org.work(world.org, job_id)
            yield OrgMove(f"chunk of {job_id}", world._replace(org=after))
            if has_trouble:
                yield from _troubles(world, after, job_id, may_be_late)
        elif job.state == "Open" and has_trouble and job.rows is not None:
            aborted, _ = org.abort_job(world.org, job_id)
            yield OrgMove(f"{job_id} aborted by an admin", world._replace(org=aborted), 1)


def _troubles(world: World, worked: Org, job_id: str, may_be_late: bool) -> Iterator[OrgMove]:
    before = world.org
    locked = org.work(before, job_id, is_locked=True)
    yield OrgMove(f"chunk of {job_id}, a row locked", world._replace(org=locked), 1)
    failed = org.put_back(before, org.find(before, job_id)._replace(state="Failed"))
    yield OrgMove(f"{job_id} fails", world._replace(org=failed), 1)
    yield _gone(world, failed, job_id, "fails")
    aborted, _ = org.abort_job(before, job_id, is_late=may_be_late)
    yield OrgMove(f"{job_id} aborted by an admin", world._replace(org=aborted), 1)
    if org.find(worked, job_id).state == "JobComplete":
        yield _gone(world, worked, job_id, "ends")


def _gone(world: World, after: Org, job_id: str, how: str) -> OrgMove:
    job = org.find(after, job_id)
    doubt = world.unknowable | set(job.rows or ())
    gone = org.put_back(after, job._replace(is_gone=True))
    return OrgMove(f"{job_id} {how} and is gone", world._replace(org=gone, unknowable=doubt), 1)


def land_all(world: World) -> World:
    """Every late chunk lands."""
    for job in world.org.jobs:
        if job.is_late:
            world = world._replace(org=org.work(world.org, job.job_id))
    return world


def finish(world: World) -> World:
    """Whatever is under way comes to its end."""
    while is_busy(world):
        for job in world.org.jobs:
            if job.state in RUNNING and not job.is_gone:
                world = world._replace(org=org.work(world.org, job.job_id))
    return land_all(world)


def eight_days_later(world: World) -> World:
    """The jobs have ended and are forgotten, the leads are there."""
    world = finish(world)
    jobs = tuple(job._replace(is_gone=True) for job in world.org.jobs)
    doubt = set(world.unknowable)
    for batch in world.ledger.batches:
        if batch.batch_state == "submitted":
            doubt |= set(held_by(world.ledger, batch.batch_id))
    return world._replace(org=world.org._replace(jobs=jobs), unknowable=frozenset(doubt))
