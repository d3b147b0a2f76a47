-- Nobody who leaves a batch is claimed by it any more. Answers how many there were by its row count.
delete from person_claims
where
    batch_id = :batch_id
    and person_id in (select leaving_persons.person_id from leaving_persons)
