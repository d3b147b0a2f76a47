"""What the org does by itself: it works on jobs, loses them, and takes requests that come late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.crash.model import invariants, org
from tests.crash.model.errors import OrgRejectedError
from tests.crash.model.ledger_model import claimed_by
from tests.crash.model.ops import Call, World
from tests.crash.model.org import RUNNING, Org


class OrgEvent(NamedTuple):
    """Something that the org does."""

    text: str
    world: World
    trouble_count: int = 0


def arrive(world: World, call: Call) -> World:
    """Return the world after a request has had its effect, with the invariants it breaks."""
    world = world._replace(broken=world.broken | invariants.broken_on_arrival(world, call))
    try:
        after, _ = getattr(org, call.name)(world.org, *call.arguments)
    except OrgRejectedError:
        return world
    return world._replace(org=after)


def is_busy(world: World) -> bool:
    """Whether a job is still running."""
    return any(job.state in RUNNING and not job.is_gone for job in world.org.jobs)


def has_late_chunk(world: World) -> bool:
    """Whether a chunk of an aborted job is still to be committed."""
    return any(job.has_late_chunk for job in world.org.jobs)


def events(world: World, may_be_late: bool, has_trouble: bool) -> Iterator[OrgEvent]:
    """Yield everything that can happen to a job next."""
    for job in world.org.jobs:
        job_id = job.job_id
        if job.has_late_chunk:
            yield OrgEvent(
                f"late chunk of {job_id}", world._replace(org=org.work(world.org, job_id))
            )
        if job.is_gone:
            continue
        if job.state in RUNNING:
            after = org.work(world.org, job_id)
            yield OrgEvent(f"chunk of {job_id}", world._replace(org=after))
            if has_trouble:
                yield from _troubles(world, after, job_id, may_be_late)
        elif job.state == "Open" and has_trouble and job.rows is not None:
            aborted, _ = org.abort_job(world.org, job_id)
            yield OrgEvent(f"{job_id} aborted by an admin", world._replace(org=aborted), 1)


def _troubles(world: World, worked: Org, job_id: str, may_be_late: bool) -> Iterator[OrgEvent]:
    before = world.org
    locked = org.work(before, job_id, is_locked=True)
    yield OrgEvent(f"chunk of {job_id}, a row locked", world._replace(org=locked), 1)
    failed = org.replace_job(before, org.find(before, job_id)._replace(state="Failed"))
    yield OrgEvent(f"{job_id} fails", world._replace(org=failed), 1)
    yield _without_job(world, failed, job_id, "fails")
    aborted, _ = org.abort_job(before, job_id, is_late=may_be_late)
    yield OrgEvent(f"{job_id} aborted by an admin", world._replace(org=aborted), 1)
    if org.find(worked, job_id).state == "JobComplete":
        yield _without_job(world, worked, job_id, "ends")


def _without_job(world: World, after: Org, job_id: str, how: str) -> OrgEvent:
    job = org.find(after, job_id)
    unknowable = world.unknowable | set(job.rows or ())
    after = org.replace_job(after, job._replace(is_gone=True))
    text = f"{job_id} {how} and is gone"
    return OrgEvent(text, world._replace(org=after, unknowable=unknowable), 1)


def commit_late_chunks(world: World) -> World:
    """Commit the late chunks of all aborted jobs."""
    for job in world.org.jobs:
        if job.has_late_chunk:
            world = world._replace(org=org.work(world.org, job.job_id))
    return world


def finish(world: World) -> World:
    """Run all jobs to their end."""
    while is_busy(world):
        for job in world.org.jobs:
            if job.state in RUNNING and not job.is_gone:
                world = world._replace(org=org.work(world.org, job.job_id))
    return commit_late_chunks(world)


def eight_days_later(world: World) -> World:
    """Return the world when all jobs have ended and are gone, and their leads exist."""
    world = finish(world)
    jobs = tuple(job._replace(is_gone=True) for job in world.org.jobs)
    unknowable = set(world.unknowable)
    for batch in world.ledger.batches:
        if batch.batch_state == "submitted":
            unknowable |= set(claimed_by(world.ledger, batch.batch_id))
    return world._replace(org=world.org._replace(jobs=jobs), unknowable=frozenset(unknowable))
