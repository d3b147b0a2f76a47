-- The runs that say they are running, and the processes that should be alive then.
select
    run_id,
    holder_host,
    holder_pid

from sync_runs

where run_state = 'running'

order by run_id
