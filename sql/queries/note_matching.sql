-- Notes how a run looked up the records Salesforce already has, and what it cost.
update sync_runs
set
    matching_way = :matching_way,
    matching_call_count = :matching_call_count,
    matching_record_count = :matching_record_count,
    matching_seconds = :matching_seconds
where run_id = :run_id
