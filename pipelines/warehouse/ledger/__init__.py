"""The ledger, under one name: which persons are in flight, in what batch, and what became of
everybody else.

Its parts tell one story each: `runs` who works, `turns` how several workers share a run,
`judgements` how persons come in, `batches` how they travel and come out, `findings` what is written
about them on the way, `resolutions` what was said of those nobody can know about.
"""

from __future__ import annotations

from pipelines.warehouse.ledger.batches import (
    Batch,
    BatchResults,
    batch_claims,
    count_discarded_jobs,
    discard_job,
    known_job_ids,
    read_batch,
    record_job,
    record_submitted,
    record_unknown_job,
    release_persons,
    renew_lease,
    settle,
    take_over_stale_batches,
)
from pipelines.warehouse.ledger.claims import (
    CLAIM_COLUMNS,
    PLANNED_COLUMNS,
    NewBatch,
    RecordedSlice,
    SliceRecord,
    email_claims,
    record_plan,
    record_slice,
)
from pipelines.warehouse.ledger.resolutions import (
    Said,
    Standing,
    Word,
    list_held,
    read_person_state,
    record_resolution,
    settle_found,
)
from pipelines.warehouse.ledger.runs import (
    RunCounts,
    begin_run,
    bind_org,
    count_listed,
    end_run,
    fail_dead_runs,
    record_lookup_stats,
    require_own_org,
    run_counts,
)
from pipelines.warehouse.ledger.slices import (
    Slice,
    claim_left_batches,
    claim_slice,
    committed_position,
    skip_slice,
    stop_workers,
)

__all__ = [
    "CLAIM_COLUMNS",
    "PLANNED_COLUMNS",
    "Batch",
    "BatchResults",
    "NewBatch",
    "RecordedSlice",
    "RunCounts",
    "Said",
    "Slice",
    "SliceRecord",
    "Standing",
    "Word",
    "batch_claims",
    "begin_run",
    "bind_org",
    "claim_left_batches",
    "claim_slice",
    "committed_position",
    "count_discarded_jobs",
    "count_listed",
    "discard_job",
    "email_claims",
    "end_run",
    "fail_dead_runs",
    "known_job_ids",
    "list_held",
    "read_batch",
    "read_person_state",
    "record_job",
    "record_lookup_stats",
    "record_plan",
    "record_resolution",
    "record_slice",
    "record_submitted",
    "record_unknown_job",
    "release_persons",
    "renew_lease",
    "require_own_org",
    "run_counts",
    "settle",
    "settle_found",
    "skip_slice",
    "stop_workers",
    "take_over_stale_batches",
]
