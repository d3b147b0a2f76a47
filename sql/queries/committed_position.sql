-- Up to where a run's slices are judged, and whether it still goes on.
select
    committed_position,
    run_state = 'running' and stopped_at is null as is_going_on

from sync_runs

where run_id = :run_id
