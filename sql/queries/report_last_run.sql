-- The run that began last.
select run_id
from sync_runs
order by started_at desc, run_id desc
limit 1
