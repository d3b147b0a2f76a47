-- More than a fifth of the persons that the run read were rejected.
select
    run_id,
    read_count,
    rejected_count
from sync_runs
where
    run_id = :run_id
    and 5 * rejected_count > read_count
