"""Finds out why an available Kafka refuses the service: unlike an outage, that doesn't end by itself.

aiokafka reports such a refusal as a failed connection, with the reason only in its log; so it is asked once more.
"""

import asyncio
from collections.abc import Iterator
from ssl import SSLCertVerificationError, SSLError
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from service.messaging.client_config import CLIENT_ID, client_arguments
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

ASK_SECONDS = 3.0
_NOT_FOR_THIS_HOST = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

AUTHORIZATION = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


class KafkaRefusesError(HealthError):
    """Kafka is available, but refuses the service. The problem names no host and no user: probes show it to anybody."""


async def find_refusal(settings: Settings) -> KafkaRefusesError | None:
    """The reason why a configured server, or one that these name in turn, refuses us; None if none does.

    Takes a few seconds at most for each. Raises `HealthError` if the settings can't be used.
    """
    arguments = client_arguments(settings)
    known = {(host, port) for host, port, _ in collect_hosts(arguments.pop("bootstrap_servers"))}
    asked: set[tuple[str, int]] = set()
    while left := known - asked:
        server = left.pop()
        asked.add(server)
        try:
            known |= await _brokers(*server, arguments)
        except (OSError, KafkaError) as error:
            if why := refusal_in(error):
                return why
    return None


async def _brokers(host: str, port: int, arguments: dict[str, Any]) -> set[tuple[str, int]]:
    """Connect as clients do; returns the brokers that the server tells clients to connect to."""
    async with asyncio.timeout(ASK_SECONDS):
        server = await create_conn(host, port, client_id=CLIENT_ID, **arguments)
        try:
            metadata = await server.send(MetadataRequest([]))
        finally:
            server.close()
    return {(broker[1], broker[2]) for broker in metadata.brokers}


def refusal_in(error: BaseException) -> KafkaRefusesError | None:
    """The refusal that caused an error, directly or not; None if there is none."""
    return next((why for cause in _causes(error) if (why := _refusal(cause))), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refusal(error: BaseException) -> KafkaRefusesError | None:
    match error:
        case SaslAuthenticationFailed():
            return KafkaRefusesError(
                "Kafka refuses the credentials", "Check HEALTH_KAFKA_SASL_USERNAME and HEALTH_KAFKA_SASL_PASSWORD"
            )
        case UnsupportedSaslMechanismError():
            return KafkaRefusesError(
                "Kafka doesn't offer the SASL mechanism",
                "Set HEALTH_KAFKA_SASL_MECHANISM to one that the broker's sasl.enabled.mechanisms has",
            )
        case IllegalSaslStateError():
            return KafkaRefusesError(
                "Kafka expects no SASL at this port", "Check HEALTH_KAFKA_SECURITY_PROTOCOL and the port"
            )
        case SSLCertVerificationError():
            return _certificate_refusal(error)
        case SSLError():
            return _tls_refusal(error)
        case _ if isinstance(error, AUTHORIZATION):
            return KafkaRefusesError(
                f"Kafka doesn't allow operations that the service needs ({type(error).__name__})",
                "Give its user the rights that deploy/kafka-security.md lists",
            )
    return None


def _certificate_refusal(error: SSLCertVerificationError) -> KafkaRefusesError:
    if error.verify_code in _NOT_FOR_THIS_HOST:
        return KafkaRefusesError(
            "Kafka's certificate isn't for its host name",
            "Name the servers in HEALTH_KAFKA_BOOTSTRAP_SERVERS, and in the broker's advertised.listeners, as their"
            " certificates do",
        )
    return KafkaRefusesError(
        f"Kafka's certificate isn't trusted ({error.verify_message})",
        "Set HEALTH_KAFKA_SSL_CA_FILE to the certificate of the authority that signed it",
    )


def _tls_refusal(error: SSLError) -> KafkaRefusesError | None:
    reason = (error.reason or "").replace("_", " ").lower()
    if "certificate" in reason or "unknown ca" in reason:
        return KafkaRefusesError(
            f"Kafka doesn't accept the client certificate, or requires one ({reason})",
            "Set HEALTH_KAFKA_SSL_CERT_FILE and HEALTH_KAFKA_SSL_KEY_FILE to a certificate that the brokers trust",
        )
    return None
