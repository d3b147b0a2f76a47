-- Clears away so many keys of readings that are gone.
delete from org_record_keys
where (fill_number, key_number, position) in (
    select
        refuse.fill_number,
        refuse.key_number,
        refuse.position
    from org_record_keys as refuse
    where
        not exists (
            select 1
            from org_snapshots
            where org_snapshots.fill_number = refuse.fill_number
        )
    order by
        refuse.fill_number,
        refuse.key_number,
        refuse.position
    limit :most
)
