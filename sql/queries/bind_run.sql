-- Notes to which org a run speaks.
update sync_runs set org_id = :org_id
where run_id = :run_id
