"""Apache Kafka with SASL, TLS and access rights on, beside the plain listener for the tests themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest
from pydantic import SecretStr

from service.embedded.ports import free_port
from service.runtime.settings import Settings
from tests.support.certificates import Authority
from tests.support.kafka import ApacheKafka

USER = "health"
PASSWORD = "the-password-of-health"
LIMITED = "limited"
"""A user with only the rights that a test grants."""
ANY, LITERAL, PREFIXED, ALLOW = 1, 3, 4, 3
TOPIC, GROUP, CLUSTER = 2, 3, 4
READ, WRITE, CREATE, DESCRIBE = 3, 4, 5, 8

_LISTENERS = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
_PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class SecureKafka(ApacheKafka):
    """A broker with one listener for each way of securing it. Its certificate is for `host` and, if wanted, more."""

    def __init__(self, data_dir: Path, *, hosts: Sequence[str] = ("127.0.0.1",)) -> None:
        super().__init__(data_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(self.folder, "authority")
        self.client = self.authority.sign("account-health")
        self.listeners = {name: f"127.0.0.1:{free_port()}" for name in _LISTENERS}
        self._settings |= self._security(hosts)
        self.set_password(PASSWORD)
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            for user in (USER, LIMITED):
                self._format_options += ["--add-scram", f"{mechanism}=[name={user},password={PASSWORD}]"]

    def set_password(self, password: str) -> None:
        """The password of `USER` with PLAIN, from the next start on."""
        users = f'user_{USER}="{password}" user_{LIMITED}="{PASSWORD}"'
        for listener in ("sasl_plaintext", "sasl_ssl"):
            self._settings[f"listener.name.{listener}.plain.sasl.jaas.config"] = f"{_PLAIN_LOGIN} {users};"

    def _security(self, hosts: Sequence[str]) -> dict[str, str]:
        certificate, key = self.authority.sign("broker", *hosts)
        store = self.folder / "broker.pem"
        store.write_bytes(key.read_bytes() + certificate.read_bytes())
        secured = {
            "listener.security.protocol.map": ",".join(
                ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in _LISTENERS)]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{USER};User:CN=account-health",
        }
        for listener in ("sasl_plaintext", "sasl_ssl"):
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                secured[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = _SCRAM_LOGIN
        return secured

    def to(self, settings: Settings, protocol: str, mechanism: str = "", **changes: Any) -> Settings:
        """The settings that lead to one of its listeners, with the credentials for it."""
        values: dict[str, Any] = {
            "kafka_bootstrap_servers": self.listeners[protocol],
            "kafka_security_protocol": protocol,
        }
        if protocol.endswith("SSL"):
            values["kafka_ssl_ca_file"] = str(self.authority.file)
        if protocol.startswith("SASL"):
            values |= {
                "kafka_sasl_mechanism": mechanism,
                "kafka_sasl_username": USER,
                "kafka_sasl_password": SecretStr(PASSWORD),
            }
        else:
            certificate, key = self.client
            values |= {"kafka_ssl_cert_file": str(certificate), "kafka_ssl_key_file": str(key)}
        return settings.model_copy(update=values | changes)

    async def allow(self, *rights: tuple[int, str, int, int]) -> None:
        """Allow `LIMITED` more: kind of resource, its name, the type of match, and the operations."""
        client = AIOKafkaClient(bootstrap_servers=self.address)
        await client.bootstrap()
        try:
            for kind, name, meant, done in rights:
                wanted = CreateAclsRequest(kind, name, meant, f"User:{LIMITED}", "*", done, ALLOW)
                answer = await client.send(client.get_random_node(), wanted)
                assert answer.creation_responses[0][0] == 0, answer
        finally:
            await client.close()
