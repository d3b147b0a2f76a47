-- How a run looks up the records Salesforce already has.
select matching_way
from sync_runs
where run_id = :run_id
