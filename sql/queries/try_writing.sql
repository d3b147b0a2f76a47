-- Whether this login may write: changes nothing, and is refused where a run would be.
update sync_runs
set run_state = run_state
where 1 = 0
