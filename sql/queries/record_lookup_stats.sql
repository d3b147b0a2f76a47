-- Notes how a run, or a worker of it, looks up the records Salesforce already has, and what that has cost further.
update sync_runs
set
    lookup_method = case
        when coalesce(lookup_method, :lookup_method) = :lookup_method then :lookup_method
        else 'mixed'
    end,
    matching_call_count = matching_call_count + :matching_call_count,
    matching_record_count = matching_record_count + :matching_record_count,
    matching_seconds = matching_seconds + :matching_seconds
where run_id = :run_id
