-- Takes the next slice of a run for one of its workers: no row when none is left, or the run is over.
update sync_runs
set claimed_position = claimed_position + :slice_size
where
    run_id = :run_id
    and run_state = 'running'
    and stopped_at is null
    and claimed_position < :listed_count
returning claimed_position
