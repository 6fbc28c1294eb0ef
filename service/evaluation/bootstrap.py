"""The first steps on a database: the newest schema and a default scorecard."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from service.evaluation.policy import publish_default
from service.runtime.settings import Settings
from service.storage.database import migrate as schema
from service.storage.database.errors import to_operator_error
from service.storage.database.session import in_transaction

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


def prepare_database(settings: Settings) -> str | None:
    """Migrate and publish the default scorecard; does nothing if both are done. Raises `HealthError`.

    The schema of a later version stays as it is, with a line in the log; its revision is returned, else None.
    """
    later = with_database(settings, schema.upgrade)
    if later:
        log.warning("schema_of_a_later_version", revision=later, newest_known=schema.revisions()[-1].revision)
    in_transaction(settings, lambda connection: publish_default(connection, settings.retention_days))
    return later


def with_database(settings: Settings, work: Callable[[str], Result]) -> Result:
    """The result of `work` for the URL of the database. Raises `HealthError` if the database can't be used."""
    try:
        return work(settings.database_url.get_secret_value())
    except (DBAPIError, OSError) as error:
        raise to_operator_error(error) from error
