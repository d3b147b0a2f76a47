-- Remembers that a migration, the views or the rules are as this checksum says.
insert into schema_versions (version, file_name, checksum, applied_at)
values (:version, :file_name, :checksum, :now)
on conflict (version) do update set
    checksum = excluded.checksum,
    applied_at = excluded.applied_at
