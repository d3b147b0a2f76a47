-- What has been applied to this warehouse.
select
    version,
    checksum
from schema_versions
order by version
