"""Open what the settings name: the warehouse, and a session with the org."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.settings import SalesforceSettings, Settings
from pipelines.warehouse.database import Warehouse, open_warehouse

if TYPE_CHECKING:
    from pipelines.salesforce.session import Org


@contextmanager
def open_store(settings: Settings, *, create: bool = False) -> Iterator[Warehouse]:
    """Open the warehouse of the settings, and close it at the end.

    Raise ConfigurationError, WarehouseUnavailableError or WarehousePermissionError.
    """
    with open_warehouse(
        settings.warehouse.url.get_secret_value(),
        persons=settings.warehouse.persons,
        results_schema=settings.warehouse.results_schema,
        create=create,
    ) as warehouse:
        yield warehouse


def log_in_to(settings: SalesforceSettings) -> Org:
    """Return a session with the org.

    Raise ConfigurationError, TransientError or OrgRejectedError.
    """
    # Imported here: the client library takes a quarter of a second, and `status` needs no org.
    from pipelines.salesforce.session import Credentials, log_in

    return log_in(
        Credentials(
            login=settings.login,
            domain=settings.domain,
            consumer_key=settings.consumer_key,
            consumer_secret=settings.consumer_secret,
            username=settings.username,
            password=settings.password,
            security_token=settings.security_token,
            private_key_file=settings.private_key_file,
            access_token=settings.access_token,
            instance_url=settings.instance_url,
        ),
        api_version=settings.api_version,
        emulator_url=settings.emulator_url,
    )
