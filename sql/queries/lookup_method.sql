-- How a run looks up the records Salesforce already has.
select lookup_method
from sync_runs
where run_id = :run_id
