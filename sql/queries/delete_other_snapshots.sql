-- Forgets every reading but one; their records are refuse from now on.
delete from org_snapshots
where fill_number <> :fill_number
