-- Takes the run's row, so that its counts stand still until the end of the transaction.
update sync_runs set listed_count = 0
where run_id = :run_id
