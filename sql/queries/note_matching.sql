-- Notes how a run looked up the records Salesforce already has.
update sync_runs set matching_way = :matching_way
where run_id = :run_id
