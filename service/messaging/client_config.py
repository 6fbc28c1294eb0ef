"""Connection settings of every Kafka client of the service: servers, TLS and credentials."""

import ssl
from pathlib import Path
from typing import Any

from service.messaging.uvloop_workaround import guard_connections
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

CLIENT_ID = "account-health"
DEFAULT_MECHANISM = "PLAIN"


def client_arguments(settings: Settings) -> dict[str, Any]:
    """The arguments for connecting any aiokafka client.

    Certificates are read again on each call. Raises `HealthError`, naming the variable, if settings contradict each
    other or a file can't be used.
    """
    _check(settings)
    guard_connections()
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        arguments["ssl_context"] = _tls(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        assert settings.kafka_sasl_password is not None
        arguments["sasl_mechanism"] = settings.kafka_sasl_mechanism or DEFAULT_MECHANISM
        arguments["sasl_plain_username"] = settings.kafka_sasl_username
        arguments["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return arguments


def _check(settings: Settings) -> None:
    """Refuse settings that would be ignored: operators who set them believe themselves protected."""
    protocol = settings.kafka_security_protocol
    password = settings.kafka_sasl_password
    sasl = {
        "HEALTH_KAFKA_SASL_USERNAME": settings.kafka_sasl_username,
        "HEALTH_KAFKA_SASL_PASSWORD": password.get_secret_value() if password else "",
    }
    tls = {
        "HEALTH_KAFKA_SSL_CA_FILE": settings.kafka_ssl_ca_file,
        "HEALTH_KAFKA_SSL_CERT_FILE": settings.kafka_ssl_cert_file,
        "HEALTH_KAFKA_SSL_KEY_FILE": settings.kafka_ssl_key_file,
    }
    if protocol.startswith("SASL"):
        _require(sasl, f"HEALTH_KAFKA_SECURITY_PROTOCOL is {protocol}")
    else:
        given = {"HEALTH_KAFKA_SASL_MECHANISM": settings.kafka_sasl_mechanism, **sasl}
        _forbid(given, protocol, "SASL_SSL, or SASL_PLAINTEXT")
    if not protocol.endswith("SSL"):
        _forbid(tls, protocol, "SSL or SASL_SSL")
    elif bool(settings.kafka_ssl_cert_file) != bool(settings.kafka_ssl_key_file):
        _require(dict(list(tls.items())[1:]), "a client certificate needs both its files")


def _require(values: dict[str, str], why: str) -> None:
    for name, value in values.items():
        if not value:
            raise HealthError(f"{name} is missing: {why}", f"Set {name}")


def _forbid(values: dict[str, str], protocol: str, wanted: str) -> None:
    for name, value in values.items():
        if value:
            raise HealthError(
                f"{name} is set, but HEALTH_KAFKA_SECURITY_PROTOCOL is {protocol}, which doesn't use it",
                f"Set HEALTH_KAFKA_SECURITY_PROTOCOL to {wanted}, or unset {name}",
            )


def _tls(settings: Settings) -> ssl.SSLContext:
    """Trust the given authorities alone, or the system's if none are given."""
    authorities = _readable("HEALTH_KAFKA_SSL_CA_FILE", settings.kafka_ssl_ca_file)
    if settings.kafka_ssl_ca_file and not authorities.strip():  # OpenSSL would trust the system's
        raise HealthError(
            f"HEALTH_KAFKA_SSL_CA_FILE {settings.kafka_ssl_ca_file} is empty",
            "Give the certificate of the authority that signed the brokers', in PEM form",
        )
    try:
        context = ssl.create_default_context(cadata=authorities or None)
    except ssl.SSLError as error:
        raise _unusable("HEALTH_KAFKA_SSL_CA_FILE", settings.kafka_ssl_ca_file, error) from None
    context.check_hostname = settings.kafka_ssl_check_hostname
    if settings.kafka_ssl_cert_file:
        _readable("HEALTH_KAFKA_SSL_CERT_FILE", settings.kafka_ssl_cert_file)
        _readable("HEALTH_KAFKA_SSL_KEY_FILE", settings.kafka_ssl_key_file)
        try:
            # Without a password OpenSSL would prompt for that of an encrypted key on the terminal.
            context.load_cert_chain(settings.kafka_ssl_cert_file, settings.kafka_ssl_key_file, password="")
        except ssl.SSLError as error:
            raise HealthError(
                f"HEALTH_KAFKA_SSL_CERT_FILE and HEALTH_KAFKA_SSL_KEY_FILE can't be used together ({error.reason})",
                "Give a certificate in PEM form, followed by its chain, and its own key, without a password",
            ) from None
    return context


def _readable(name: str, file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise HealthError(
            f"{name} {file} can't be read: {error.strerror}", "Name a file that this process may read"
        ) from None
    except UnicodeDecodeError as error:
        raise _unusable(name, file, error) from None


def _unusable(name: str, file: str, error: Exception) -> HealthError:
    reason = getattr(error, "reason", None) or type(error).__name__
    return HealthError(f"{name} {file} is not a certificate in PEM form ({reason})", "Convert it with openssl x509")
