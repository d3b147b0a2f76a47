-- A held person is to be sent again, if they are still as they were seen: the next run reads them.
update person_outcomes
set reason_code = 'RESEND'
where
    person_id = :person_id
    and outcome = 'held'
    and run_id = :seen_run_id
    and attempt_count = :seen_attempt_count
    and not exists (
        select 1
        from person_claims
        where person_claims.person_id = person_outcomes.person_id
    )
