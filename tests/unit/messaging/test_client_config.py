"""Settings of the connection to Kafka: what contradicts itself is refused, by name and with a remedy."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from service.messaging.client_config import client_arguments
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from tests.support.certificates import Authority

SASL = {"kafka_sasl_mechanism": "SCRAM-SHA-512", "kafka_sasl_username": "health", "kafka_sasl_password": "s3cret"}


def settings(protocol: str, **values: Any) -> Settings:
    return Settings(_env_file=None, kafka_security_protocol=protocol, **values)


def test_without_any_setting_it_is_plaintext() -> None:
    assert client_arguments(Settings(_env_file=None)) == {
        "bootstrap_servers": "localhost:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_credentials_get_to_the_client() -> None:
    found = client_arguments(settings("SASL_PLAINTEXT", **SASL))
    assert found["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("health", "s3cret")
    assert (
        client_arguments(settings("SASL_PLAINTEXT", **{**SASL, "kafka_sasl_mechanism": ""}))["sasl_mechanism"]
        == "PLAIN"
    )


def test_tls_trusts_the_given_authority_alone_and_checks_the_host(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    context = client_arguments(settings("SSL", kafka_ssl_ca_file=str(authority.file)))["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert [dict(each[0] for each in ca["subject"]) for ca in context.get_ca_certs()] == [{"commonName": "authority"}]
    unchecked = client_arguments(settings("SSL", kafka_ssl_check_hostname=False))["ssl_context"]
    assert not unchecked.check_hostname
    assert unchecked.verify_mode is ssl.CERT_REQUIRED


CONTRADICTIONS = [
    ("PLAINTEXT", SASL, "HEALTH_KAFKA_SASL_MECHANISM is set, but HEALTH_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
    ("SSL", {"kafka_sasl_password": "s3cret"}, "HEALTH_KAFKA_SASL_PASSWORD is set, but .* to SASL_SSL"),
    ("PLAINTEXT", {"kafka_ssl_ca_file": "ca.pem"}, "HEALTH_KAFKA_SSL_CA_FILE is set, but .* to SSL or SASL_SSL"),
    ("SASL_PLAINTEXT", {**SASL, "kafka_ssl_key_file": "k"}, "HEALTH_KAFKA_SSL_KEY_FILE is set, but"),
    ("SASL_SSL", {**SASL, "kafka_sasl_username": ""}, "HEALTH_KAFKA_SASL_USERNAME is missing"),
    ("SASL_SSL", {**SASL, "kafka_sasl_password": ""}, "HEALTH_KAFKA_SASL_PASSWORD is missing"),
    ("SASL_PLAINTEXT", {}, "HEALTH_KAFKA_SASL_USERNAME is missing: HEALTH_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT"),
    ("SSL", {"kafka_ssl_cert_file": "c"}, "HEALTH_KAFKA_SSL_KEY_FILE is missing: a client certificate needs both"),
    ("SSL", {"kafka_ssl_key_file": "k"}, "HEALTH_KAFKA_SSL_CERT_FILE is missing"),
    ("SSL", {"kafka_ssl_ca_file": "/not/there"}, "HEALTH_KAFKA_SSL_CA_FILE /not/there can't be read: No such file"),
    ("SSL", {"kafka_ssl_cert_file": "/c", "kafka_ssl_key_file": "/k"}, "HEALTH_KAFKA_SSL_CERT_FILE /c can't be read"),
]


@pytest.mark.parametrize(("protocol", "values", "message"), CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_by_name(protocol: str, values: dict[str, str], message: str) -> None:
    with pytest.raises(HealthError, match=message) as refused:
        client_arguments(settings(protocol, **values))
    assert refused.value.remedy
    assert "s3cret" not in str(refused.value)


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.sign("one")
    _, other = authority.sign("other")
    text = tmp_path / "text"
    text.write_text("no certificate")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\x00")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    encrypted = tmp_path / "encrypted.key"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    for values, message in (
        ({"kafka_ssl_ca_file": str(text)}, f"HEALTH_KAFKA_SSL_CA_FILE {text} is not a certificate in PEM form"),
        ({"kafka_ssl_ca_file": str(binary)}, "is not a certificate in PEM form"),
        ({"kafka_ssl_ca_file": str(empty)}, f"HEALTH_KAFKA_SSL_CA_FILE {empty} is empty"),
        ({"kafka_ssl_cert_file": str(certificate), "kafka_ssl_key_file": str(other)}, "can't be used together"),
        ({"kafka_ssl_cert_file": str(certificate), "kafka_ssl_key_file": str(encrypted)}, "without a password"),
        ({"kafka_ssl_cert_file": str(text), "kafka_ssl_key_file": str(key)}, "can't be used together"),
    ):
        with pytest.raises(HealthError, match=message):
            client_arguments(settings("SSL", **values))


def test_the_password_is_shown_nowhere() -> None:
    assert "s3cret" not in repr(settings("SASL_SSL", **SASL))
    with pytest.raises(HealthError, match="HEALTH_KAFKA_SECURITY_PROTOCOL can't be used") as refused:
        load_settings({"HEALTH_KAFKA_SECURITY_PROTOCOL": "TLS", "HEALTH_KAFKA_SASL_PASSWORD": "s3cret"})
    assert "s3cret" not in str(refused.value)
    assert isinstance(settings("SASL_SSL", **SASL).kafka_sasl_password, SecretStr)
