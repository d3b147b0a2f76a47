-- What was said in a run of persons held before.
select
    resolved_as,
    is_automatic,
    count(*) as person_count
from resolutions
where run_id = :run_id
group by resolved_as, is_automatic
order by resolved_as, is_automatic
