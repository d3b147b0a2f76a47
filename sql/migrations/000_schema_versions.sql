-- What has been applied to this warehouse; the migrator makes it first and reads it ever after.

-- One row a migration applied, and one each for the views and the rejection rules as last written.
create table schema_versions (
    version text not null primary key, -- the number of the migration's file, or views, or rules
    file_name text not null, -- the file, or the folder, in sql
    checksum text not null, -- sha256 of what was applied; another one for an old file is an error
    applied_at timestamp not null -- UTC
);
