-- The runs that say they are running, and the processes that should be alive then.
select
    run_id,
    process_host,
    process_id

from sync_runs

where run_state = 'running'

order by run_id
