"""The ledger, under one name: which persons are in flight, in what batch, and what became of
everybody else.

Its parts tell one story each: `runs` who works, `turns` how several workers share a run,
`judgements` how persons come in, `batches` how they travel and come out, `findings` what is written
about them on the way, `resolutions` what was said of those nobody can know about.
"""

from __future__ import annotations

from pipelines.warehouse.ledger.batches import (
    Batch,
    Settlement,
    batch_claims,
    count_jobs_thrown_away,
    detach_job,
    known_job_ids,
    read_batch,
    record_closing,
    record_job,
    record_stray_job,
    release_persons,
    renew_lease,
    settle,
    take_abandoned,
)
from pipelines.warehouse.ledger.claims import (
    CLAIM_COLUMNS,
    PLANNED_COLUMNS,
    Judgement,
    NewBatch,
    Recorded,
    known_holders,
    record_judgement,
    record_plan,
)
from pipelines.warehouse.ledger.resolutions import (
    Said,
    Standing,
    Word,
    list_held,
    read_standing,
    record_word,
    settle_found,
)
from pipelines.warehouse.ledger.runs import (
    RunCounts,
    begin_run,
    bind_org,
    count_listed,
    end_run,
    fail_dead_runs,
    note_matching,
    require_own_org,
    run_counts,
)
from pipelines.warehouse.ledger.slices import (
    Turn,
    pass_turn,
    read_turn,
    stop_workers,
    take_left_batches,
    take_slice,
)

__all__ = [
    "CLAIM_COLUMNS",
    "PLANNED_COLUMNS",
    "Batch",
    "Judgement",
    "NewBatch",
    "Recorded",
    "RunCounts",
    "Said",
    "Settlement",
    "Standing",
    "Turn",
    "Word",
    "batch_claims",
    "begin_run",
    "bind_org",
    "count_jobs_thrown_away",
    "count_listed",
    "detach_job",
    "end_run",
    "fail_dead_runs",
    "known_holders",
    "known_job_ids",
    "list_held",
    "note_matching",
    "pass_turn",
    "read_batch",
    "read_standing",
    "read_turn",
    "record_closing",
    "record_job",
    "record_judgement",
    "record_plan",
    "record_stray_job",
    "record_word",
    "release_persons",
    "renew_lease",
    "require_own_org",
    "run_counts",
    "settle",
    "settle_found",
    "stop_workers",
    "take_abandoned",
    "take_left_batches",
    "take_slice",
]
