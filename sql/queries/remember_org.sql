-- Ties the ledger to the org of its first login.
insert into sync_orgs (org_id, org_name, is_sandbox, first_seen_at)
values (:org_id, :org_name, :is_sandbox, :now)
