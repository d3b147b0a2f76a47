-- Clears away so many records of readings that are gone.
delete from org_records
where position in (
    select refuse.position
    from org_records as refuse
    where
        not exists (
            select 1
            from org_snapshots
            where org_snapshots.fill_number = refuse.fill_number
        )
    order by refuse.position
    limit :most
)
