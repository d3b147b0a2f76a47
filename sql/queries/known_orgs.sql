-- Which org this ledger belongs to: no row before the first login, then one.
select
    org_id,
    org_name

from sync_orgs
