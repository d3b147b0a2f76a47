-- A held person gets another outcome, if they are still as they were seen.
update person_outcomes
set
    outcome = :outcome,
    run_id = :run_id,
    lead_id = :lead_id,
    owner_id = :owner_id,
    owner_name = :owner_name,
    owner_type = :owner_type,
    reason_code = :reason_code,
    source_version = coalesce(:source_version, source_version),
    attempt_count = attempt_count + 1,
    decided_at = :now
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
