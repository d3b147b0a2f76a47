-- The copy of the org's leads and contacts: incomplete → complete.
-- A snapshot is written by one run at a time: each write renews the lease and compares its lease_id. No row means that
-- another run has the lease.

-- name: list_snapshots
-- List the snapshots, the newest first, and whether a running run has the lease of each.
select
    org_snapshots.snapshot_number,
    org_snapshots.org_id,
    org_snapshots.person_id_field,
    org_snapshots.is_complete,
    org_snapshots.lead_watermark,
    org_snapshots.contact_watermark,
    org_snapshots.record_count,
    org_snapshots.refreshed_at,
    coalesce(org_snapshots.lease_until > :now and sync_runs.run_state = 'running', false) as is_leased

from org_snapshots

left join sync_runs on org_snapshots.leased_by_run_id = sync_runs.run_id

order by org_snapshots.started_at desc, org_snapshots.snapshot_number;

-- name: begin_snapshot
-- Insert a snapshot that is not complete yet.
insert into org_snapshots (
    snapshot_number,
    org_id,
    person_id_field,
    is_complete,
    record_count,
    lease_id,
    leased_by_run_id,
    lease_until,
    started_at
)
values (
    :snapshot_number,
    :org_id,
    :person_id_field,
    false,
    0,
    :lease_id,
    :run_id,
    :lease_until,
    :now
);

-- name: lease_snapshot
-- Give the lease of a snapshot to one worker of a run.
update org_snapshots
set
    lease_id = :lease_id,
    leased_by_run_id = :run_id,
    lease_until = :lease_until
where snapshot_number = :snapshot_number;

-- name: renew_snapshot_lease
-- Extend the lease of a snapshot.
update org_snapshots
set lease_until = :lease_until
where
    snapshot_number = :snapshot_number
    and lease_id = :lease_id;

-- name: release_snapshot
-- End the lease of a snapshot.
update org_snapshots
set
    lease_id = null,
    leased_by_run_id = null,
    lease_until = null
where
    snapshot_number = :snapshot_number
    and lease_id = :lease_id;

-- name: release_all_snapshots
-- End the leases of all snapshots. Used after it was found that no lease belongs to a running run.
update org_snapshots
set
    lease_id = null,
    leased_by_run_id = null,
    lease_until = null
where lease_id is not null;

-- name: complete_snapshot
-- Record that a snapshot is complete up to its watermarks, and end its lease.
update org_snapshots
set
    is_complete = true,
    lead_watermark = :lead_watermark,
    contact_watermark = :contact_watermark,
    record_count = :record_count,
    lease_id = null,
    leased_by_run_id = null,
    lease_until = null,
    refreshed_at = :now
where
    snapshot_number = :snapshot_number
    and lease_id = :lease_id;

-- name: delete_incomplete_snapshots
-- Delete the snapshots that never became complete. Their records are deleted later, as orphans.
delete from org_snapshots
where not is_complete;

-- name: delete_other_snapshots
-- Delete every snapshot but one. Their records are deleted later, as orphans.
delete from org_snapshots
where snapshot_number <> :snapshot_number;

-- name: last_record_position
-- Return the position of the record inserted last.
select coalesce(max(position), 0) as position
from org_records;

-- name: create_refreshed_records
-- Create the table of records read again, whose old versions are to be deleted.
create temporary table refreshed_records (
    record_id text not null primary key
);

-- name: delete_refreshed_records
-- Delete the old versions of records that were read again. Their keys stay and lead to no record.
delete from org_records
where
    snapshot_number = :snapshot_number
    and record_id in (select refreshed_records.record_id from refreshed_records);

-- name: delete_vanished_records
-- Delete the records that a second read of one kind should have returned and did not: they no longer exist.
-- The second read covers either the records created since an instant, or the deleted ones.
delete from org_records
where
    snapshot_number = :snapshot_number
    and sobject = :sobject
    and position < :first_position
    and (
        (:is_of_deleted and is_deleted)
        or (not :is_of_deleted and created_at >= :created_from)
    );

-- name: index_records
-- Insert the keys of records, sorted by key: by far the fastest order to write them in.
insert into org_record_keys (snapshot_number, key_number, position)
select
    arrived.snapshot_number,
    arrived.key_number,
    arrived.position

from (
    select
        snapshot_number,
        email_number as key_number,
        position
    from org_records
    where
        position between :first_position and :last_position
        and snapshot_number = :snapshot_number
        and email_number is not null
    union all
    select
        snapshot_number,
        person_number as key_number,
        position
    from org_records
    where
        position between :first_position and :last_position
        and snapshot_number = :snapshot_number
        and person_number is not null
) as arrived

order by
    arrived.key_number,
    arrived.position

-- The position may have been that of a deleted record with the same key; its row can stay as it is.
on conflict do nothing;

-- name: count_records
-- Count the records of a snapshot, and the active and deleted ones created up to the watermarks.
select
    count(*) as record_count,
    count(*) filter (where sobject = 'Lead') as lead_count,
    count(*) filter (
        where sobject = 'Lead' and not is_deleted and created_at <= :lead_watermark
    ) as active_lead_count,
    count(*) filter (
        where sobject = 'Lead' and is_deleted and created_at <= :lead_watermark
    ) as deleted_lead_count,
    count(*) filter (
        where sobject = 'Contact' and not is_deleted and created_at <= :contact_watermark
    ) as active_contact_count,
    count(*) filter (
        where sobject = 'Contact' and is_deleted and created_at <= :contact_watermark
    ) as deleted_contact_count
from org_records
where snapshot_number = :snapshot_number;

-- name: has_person_keys
-- Return whether a snapshot contains a record with a person id.
select
    exists(
        select 1
        from org_record_keys
        where
            snapshot_number = :snapshot_number
            and key_number < 0
    ) as has_person_ids;

-- name: create_match_keys
-- Create the table of key numbers of the persons to be matched.
create temporary table match_keys (
    key_number bigint not null primary key
);

-- name: find_records
-- Find the records with one of the key numbers. Two keys may share a number; the caller compares the keys.
select
    org_record_keys.key_number < 0 as is_by_person_id,
    org_records.email_hash,
    org_records.person_id,
    org_records.record_id,
    org_records.sobject,
    org_records.is_converted,
    org_records.is_deleted,
    org_records.converted_contact_id,
    org_records.created_at,
    org_records.owner_id

from match_keys

-- SQLite follows the order of a cross join. With an inner join it scanned all keys of the snapshot.
cross join org_record_keys
cross join org_records

where
    org_record_keys.snapshot_number = :snapshot_number
    and match_keys.key_number = org_record_keys.key_number
    and org_record_keys.position = org_records.position
    and org_record_keys.snapshot_number = org_records.snapshot_number
    -- The position may have been that of another record, since deleted.
    and org_record_keys.key_number in (org_records.email_number, org_records.person_number);

-- name: delete_orphaned_records
-- Delete up to row_limit records of deleted snapshots.
delete from org_records
where position in (
    select orphans.position
    from org_records as orphans
    where
        not exists (
            select 1
            from org_snapshots
            where org_snapshots.snapshot_number = orphans.snapshot_number
        )
    order by orphans.position
    limit :row_limit
);

-- name: delete_orphaned_keys
-- Delete up to row_limit keys of deleted snapshots.
delete from org_record_keys
where (snapshot_number, key_number, position) in (
    select
        orphans.snapshot_number,
        orphans.key_number,
        orphans.position
    from org_record_keys as orphans
    where
        not exists (
            select 1
            from org_snapshots
            where org_snapshots.snapshot_number = orphans.snapshot_number
        )
    order by
        orphans.snapshot_number,
        orphans.key_number,
        orphans.position
    limit :row_limit
);
