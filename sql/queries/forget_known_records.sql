-- Clears away so many records of readings that are gone.
delete from known_records
where position in (
    select refuse.position
    from known_records as refuse
    where
        not exists (
            select 1
            from known_record_fills
            where known_record_fills.fill_number = refuse.fill_number
        )
    order by refuse.position
    limit :most
)
