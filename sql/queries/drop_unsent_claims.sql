-- Gives back the claims of persons that are decided or that this judgement does not get.
delete from person_claims
where
    person_id in (
        select judged_persons.person_id
        from judged_persons
        where
            not judged_persons.is_sent
            or judged_persons.fate <> 'kept'
    )
    -- The batches of a judgement are its own: a claim under another's stays.
    and batch_id in (select judged_persons.batch_id from judged_persons)
