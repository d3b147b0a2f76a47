-- Slices: the workers of one run claim them in any order and commit them in the order of their positions.
-- Of several persons with one e-mail the earliest is kept, which is why the commit order matters.

-- name: claim_slice
-- Claim the next slice of a run for one of its workers. No row: no slice is left, or the run has ended.
update sync_runs
set claimed_position = claimed_position + :slice_size
where
    run_id = :run_id
    and run_state = 'running'
    and stopped_at is null
    and claimed_position < :listed_count
returning claimed_position;

-- name: committed_position
-- Return the position up to which slices are committed, and whether the run is still open.
select
    committed_position,
    run_state = 'running' and stopped_at is null as is_open

from sync_runs

where run_id = :run_id;

-- name: commit_slice
-- Advance the committed position, if this slice is the next one and the run is still open.
update sync_runs
set committed_position = :last_position
where
    run_id = :run_id
    and run_state = 'running'
    and stopped_at is null
    and committed_position = :before_position;

-- name: stop_workers
-- Ask all workers of a run to stop. The first such request is the one that is kept.
update sync_runs set stopped_at = :now
where
    run_id = :run_id
    and stopped_at is null;

-- name: claim_remaining_batches
-- Take over the open batches of a run's own workers. The higher fencing token shuts out a worker that still runs.
update lead_batches
set
    fencing_token = fencing_token + 1,
    lease_until = :lease_until
where
    leased_by_run_id = :run_id
    and batch_state <> 'completed'
returning *;
