-- Writes the rules broken; a rule that a person breaks twice in a run is told as it was found last.
insert into rejected_persons (
    run_id,
    person_id,
    rule_name,
    stage,
    field_name,
    observed_value,
    message,
    is_retryable,
    rejected_at
)
select
    :run_id,
    person_id,
    rule_name,
    stage,
    field_name,
    observed_value,
    message,
    is_retryable,
    :now

from found_rejections

where true

on conflict (run_id, person_id, rule_name) do update
    set
        stage = excluded.stage,
        field_name = excluded.field_name,
        observed_value = excluded.observed_value,
        message = excluded.message,
        is_retryable = excluded.is_retryable,
        rejected_at = excluded.rejected_at
