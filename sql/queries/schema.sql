-- What has been applied to this warehouse, and whether the login may write to it.

-- name: applied_versions
-- List the migrations applied, and the state of the views and the rejection rules.
select
    version,
    checksum
from schema_versions
order by version;

-- name: record_schema_version
-- Record that a migration, the views or the rules now match this checksum.
insert into schema_versions (version, file_name, checksum, applied_at)
values (:version, :file_name, :checksum, :now)
on conflict (version) do update set
    checksum = excluded.checksum,
    applied_at = excluded.applied_at;

-- name: record_rejection_rule
-- Insert or update a rejection rule. A rule that is no longer in use stays: old rejections name it.
insert into rejection_rules (rule_name, stage, field_name, description, remedy)
values (:rule_name, :stage, :field_name, :description, :remedy)
on conflict (rule_name) do update set
    stage = excluded.stage,
    field_name = excluded.field_name,
    description = excluded.description,
    remedy = excluded.remedy;

-- name: check_write_access
-- Change nothing, and fail where a run could not write its results.
update sync_runs
set run_state = run_state
where 1 = 0;
