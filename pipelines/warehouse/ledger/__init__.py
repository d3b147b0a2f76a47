"""The ledger: which persons are being sent, in which batch, and what became of all others.

Its modules:

    runs                     which runs there are
    slices                   how workers share a run
    claims                   how decisions are recorded
    email_claims             one person per e-mail
    plans                    what a plan run would do
    batches                  the steps of a batch
    batch_results            how persons leave a batch
    jobs                     Salesforce's jobs
    resolutions              held persons
    rejects_and_duplicates   the reasons, for stewards
"""

from __future__ import annotations

from pipelines.warehouse.ledger.batch_results import (
    BatchResults,
    batch_claims,
    record_results,
    release_persons,
)
from pipelines.warehouse.ledger.batches import (
    Batch,
    discard_job,
    read_batch,
    record_job,
    record_submitted,
    renew_lease,
    take_over_stale_batches,
)
from pipelines.warehouse.ledger.claims import NewBatch, RecordedSlice, SliceRecord, record_slice
from pipelines.warehouse.ledger.email_claims import email_claims
from pipelines.warehouse.ledger.jobs import (
    count_discarded_jobs,
    known_job_ids,
    record_unknown_job,
)
from pipelines.warehouse.ledger.plans import record_plan
from pipelines.warehouse.ledger.resolutions import (
    NewResolution,
    PersonState,
    Resolution,
    held_person_ids,
    read_person_state,
    record_resolution,
    resolve_found_leads,
)
from pipelines.warehouse.ledger.runs import (
    RunCounts,
    begin_run,
    bind_org,
    count_listed_persons,
    end_run,
    fail_dead_runs,
    record_lookup_stats,
    require_own_org,
    run_counts,
)
from pipelines.warehouse.ledger.slices import (
    Slice,
    claim_remaining_batches,
    claim_slice,
    committed_position,
    skip_slice,
    stop_workers,
)

__all__ = [
    "Batch",
    "BatchResults",
    "NewBatch",
    "NewResolution",
    "PersonState",
    "RecordedSlice",
    "Resolution",
    "RunCounts",
    "Slice",
    "SliceRecord",
    "batch_claims",
    "begin_run",
    "bind_org",
    "claim_remaining_batches",
    "claim_slice",
    "committed_position",
    "count_discarded_jobs",
    "count_listed_persons",
    "discard_job",
    "email_claims",
    "end_run",
    "fail_dead_runs",
    "held_person_ids",
    "known_job_ids",
    "read_batch",
    "read_person_state",
    "record_job",
    "record_lookup_stats",
    "record_plan",
    "record_resolution",
    "record_results",
    "record_slice",
    "record_submitted",
    "record_unknown_job",
    "release_persons",
    "renew_lease",
    "require_own_org",
    "resolve_found_leads",
    "run_counts",
    "skip_slice",
    "stop_workers",
    "take_over_stale_batches",
]
