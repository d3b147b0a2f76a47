-- The position of the record that arrived last.
select coalesce(max(position), 0) as position
from org_records
