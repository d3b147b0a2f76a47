-- Forgets the readings that never became whole; their records are refuse from now on.
delete from org_snapshots
where not is_whole
