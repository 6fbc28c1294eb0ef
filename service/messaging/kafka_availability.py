"""Tracks whether Kafka is available to a process: one log line at each change, and a word for probes."""

import structlog
from aiokafka.errors import KafkaConnectionError

from service.messaging.kafka_errors import KafkaRefusesError, find_refusal, refusal_in
from service.observability import metrics
from service.observability.probes import KAFKA_AWAY
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

log = structlog.get_logger(__name__)
_UP = metrics.DEPENDENCY_UP.labels("kafka")


class KafkaAvailability:
    """The availability of Kafka; its clients report each success and failure."""

    def __init__(self, settings: Settings) -> None:
        """Asks Kafka nothing before the first failure."""
        self.trouble = ""
        """The problem, for probes; empty while there is none."""
        self.refused: KafkaRefusesError | None = None
        """The refusal, if Kafka is available but refuses the service."""
        self._settings = settings
        self._times_found = 0

    async def record_failure(self, error: BaseException) -> str:
        """Record a failure and find out whether Kafka is unavailable or refuses us; returns the problem. Takes some
        seconds.

        Either way another try makes sense: credentials may be about to change on both sides.
        """
        found_before = self._times_found
        refused = await why_refused(self._settings, error)
        if self._times_found != found_before:  # another task has succeeded meanwhile
            return self.trouble
        trouble = refused.problem if refused else KAFKA_AWAY
        if trouble != self.trouble:
            if refused:
                log.error("kafka_refuses", reason=refused.problem, remedy=refused.remedy)
            else:
                log.warning("kafka_unavailable", reason=str(error) or type(error).__name__)
        self.trouble, self.refused = trouble, refused
        _UP.set(0)
        return trouble

    def record_success(self) -> None:
        """Record that Kafka answers."""
        self._times_found += 1
        if self.trouble:
            log.info("kafka_is_back")
        self.trouble, self.refused = "", None
        _UP.set(1)


async def why_refused(settings: Settings, error: BaseException) -> KafkaRefusesError | None:
    """The refusal that caused a failure, or None if it had another cause."""
    if isinstance(error, KafkaRefusesError):
        return error
    try:
        return refusal_in(error) or await find_refusal(settings)
    except HealthError as unusable:  # for example, a certificate deleted since the process started
        return KafkaRefusesError("The settings of the connection to Kafka have become unusable", str(unusable))


async def unreachable(settings: Settings, error: BaseException) -> HealthError:
    """The failure to connect, as an error that the user of a command can act on."""
    if refused := await why_refused(settings, error):
        return refused
    reason = "" if isinstance(error, KafkaConnectionError) else f": {str(error) or type(error).__name__}"
    return HealthError(
        f"Kafka at {settings.kafka_bootstrap_servers} can't be reached{reason}",
        "Check HEALTH_KAFKA_BOOTSTRAP_SERVERS and HEALTH_KAFKA_SECURITY_PROTOCOL, and that the broker runs",
    )
