"""SASL, TLS and access rights, against a real Apache Kafka that insists on them."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pytest
from aiokafka import AIOKafkaProducer
from pyarrow import parquet
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.delivery.transport.kafka import publish
from service.embedded.ports import free_port
from service.messaging.client_config import client_arguments
from service.messaging.publisher import NotPublishedError, Publisher, RawRecord
from service.messaging.topics import create_topics
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from tests.support.certificates import Authority
from tests.support.cloud_events import encode, produce, record, usage
from tests.support.commands import environment
from tests.support.kafka_jars import what_is_missing
from tests.support.secure_kafka import (
    CREATE,
    DESCRIBE,
    GROUP,
    LIMITED,
    LITERAL,
    PREFIXED,
    READ,
    TOPIC,
    WRITE,
    SecureKafka,
)
from tests.support.service import consuming, eventually, folded_up_to, query, settings_for

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(what_is_missing() is not None, reason="Apache Kafka can't run here"),
]

WAYS = [
    ("SASL_PLAINTEXT", "PLAIN"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
    ("SASL_SSL", "SCRAM-SHA-512"),
    ("SSL", ""),
]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("secure-kafka")) as server:
        yield server


@pytest.fixture
async def plain(database_settings: Settings, kafka: SecureKafka, topic_prefix: str) -> Settings:
    """A test's own topics, seen through the plain listener."""
    url = database_settings.database_url.get_secret_value()
    settings = settings_for(url, kafka.address, topic_prefix, probes_port=free_port(), kafka_partitions=1)
    await create_topics(settings)
    return settings


async def readiness(settings: Settings) -> tuple[int, str]:
    """The answer of /readyz: its status, and the reason if it is not ready."""
    try:
        async with aiohttp.request("GET", f"http://127.0.0.1:{settings.probes_port}/readyz") as answer:
            return answer.status, (await answer.json(content_type=None)).get("detail", "")
    except aiohttp.ClientError:
        return 0, ""


async def becomes(settings: Settings, status: int, why: str = "") -> None:
    async def found() -> bool:
        answered, detail = await readiness(settings)
        return answered == status and why in detail

    await eventually(found, f"/readyz answers {status} {why}", 40)


async def run(*words: str, settings: Settings, security: dict[str, str]) -> subprocess.CompletedProcess[str]:
    env = environment(settings, **security)
    command = [sys.executable, "-m", "service", *words]
    return await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def variables(settings: Settings) -> dict[str, str]:
    """The connection's settings as an operator would export them."""
    names = [name for name in Settings.model_fields if name.startswith(("kafka_s", "kafka_sasl", "kafka_ssl"))]
    values = {name: getattr(settings, name) for name in names if name != "kafka_session_seconds"}
    return {
        f"HEALTH_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in values.items()
        if value is not None
    }


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
async def test_events_go_through_from_producer_to_score(
    plain: Settings, kafka: SecureKafka, engine: AsyncEngine, protocol: str, mechanism: str
) -> None:
    secured = kafka.to(plain, protocol, mechanism)
    publisher = Publisher(secured)
    async with consuming(secured):
        await publisher.publish([(plain.topic_usage, "acme", encode(usage("acme")))])
        await publisher.stop()
        await folded_up_to(engine, 1)
        await becomes(plain, 200)
    [(account,)] = await query(engine, "SELECT account_id FROM scores")
    assert account == "acme"


@pytest.mark.parametrize(("protocol", "mechanism"), [("SASL_SSL", "SCRAM-SHA-256"), ("SSL", "")])
async def test_commands_connect_as_well(
    plain: Settings, kafka: SecureKafka, tmp_path: Path, protocol: str, mechanism: str
) -> None:
    secured = kafka.to(plain, protocol, mechanism)
    security = variables(secured)
    await asyncio.to_thread(_write_log, tmp_path / "log.parquet")
    for words, said in {
        ("topics", "create"): f"{plain.topic_usage}: exists already",
        load_words(plain, tmp_path): "3",
        ("progress", "show"): "",
    }.items():
        result = await run(*words, settings=secured, security=security)
        assert result.returncode == 0, result.stderr
        assert said in result.stdout + result.stderr


def load_words(settings: Settings, folder: Path) -> tuple[str, ...]:
    """The command that loads the log in a folder."""
    columns = [word for name in ("subject", "time", "feature") for word in ("--column", f"{name}={name}")]
    return "load", "--topic", settings.topic_usage, "--state-dir", str(folder), *columns, str(folder / "log.parquet")


def _write_log(path: Path) -> None:
    columns = {"subject": ["a", "b", "c"], "time": [datetime.now(UTC).isoformat()] * 3, "feature": ["login"] * 3}
    parquet.write_table(pa.table(columns), path)


WRONG = [
    ("SASL_PLAINTEXT", "PLAIN", {"kafka_sasl_password": SecretStr("wrong-secret")}, "Kafka refuses the credentials"),
    ("SASL_SSL", "SCRAM-SHA-512", {"kafka_sasl_username": "nobody"}, "Kafka refuses the credentials"),
    ("SASL_SSL", "SCRAM-SHA-512", {"kafka_ssl_ca_file": "other"}, "Kafka's certificate isn't trusted"),
    ("SSL", "", {"kafka_ssl_cert_file": "", "kafka_ssl_key_file": ""}, "or requires one"),
]


@pytest.mark.parametrize(("protocol", "mechanism", "changes", "problem"), WRONG)
async def test_a_refusal_is_reported_as_one(
    plain: Settings, kafka: SecureKafka, tmp_path: Path, protocol: str, mechanism: str, changes: Any, problem: str
) -> None:
    if "kafka_ssl_ca_file" in changes:
        changes = {"kafka_ssl_ca_file": str(Authority(tmp_path, "other").file)}
    wrong = kafka.to(plain, protocol, mechanism, **changes)
    with pytest.raises(HealthError, match=problem):
        await create_topics(wrong)
    publisher = Publisher(wrong)
    with capture_logs() as logs:
        with pytest.raises(NotPublishedError, match=problem):
            await publisher.publish([(plain.topic_usage, "acme", b"{}")])
        reply = await publish(publisher, RawRecord(plain.topic_usage, b"acme", b"{}"), 10)
    assert problem in str(reply.error)
    await publisher.stop()
    assert [(line["event"], problem in line["reason"]) for line in logs] == [("kafka_refuses", True)]
    assert "wrong-secret" not in str(logs)


async def test_the_wrong_port_is_no_refusal_but_names_the_protocol(plain: Settings, kafka: SecureKafka) -> None:
    wrong = kafka.to(plain, "SSL", kafka_bootstrap_servers=kafka.address)
    with pytest.raises(
        HealthError, match=r"can't be reached\. Check HEALTH_KAFKA_.* and HEALTH_KAFKA_SECURITY_PROTOCOL"
    ):
        await create_topics(wrong)


async def test_a_certificate_for_another_host_is_refused_unless_the_check_is_off(
    kafka: SecureKafka, plain: Settings
) -> None:
    elsewhere = kafka.listeners["SASL_SSL"].replace("127.0.0.1", "localhost")
    wrong = kafka.to(plain, "SASL_SSL", "PLAIN", kafka_bootstrap_servers=elsewhere)
    with pytest.raises(HealthError, match="Kafka's certificate isn't for its host name"):
        await create_topics(wrong)
    await create_topics(wrong.model_copy(update={"kafka_ssl_check_hostname": False}))


async def test_commands_end_at_once_with_the_reason(kafka: SecureKafka, plain: Settings, tmp_path: Path) -> None:
    wrong = kafka.to(plain, "SASL_PLAINTEXT", "PLAIN", kafka_sasl_password=SecretStr("wrong-secret"))
    await asyncio.to_thread(_write_log, tmp_path / "log.parquet")
    for words in (
        ("topics", "create"),
        load_words(plain, tmp_path),
    ):
        result = await run(*words, settings=wrong, security=variables(wrong))
        assert result.returncode == 1
        assert result.stderr.splitlines()[-1] == (
            "account-health: Kafka refuses the credentials. "
            "Check HEALTH_KAFKA_SASL_USERNAME and HEALTH_KAFKA_SASL_PASSWORD"
        )
        assert "wrong-secret" not in result.stderr + result.stdout


async def test_a_process_that_is_refused_says_so_once_and_reveals_no_secret(
    kafka: SecureKafka, plain: Settings
) -> None:
    wrong = kafka.to(plain, "SASL_PLAINTEXT", "PLAIN", kafka_sasl_password=SecretStr("wrong-secret"))
    more = {"HEALTH_LOG_LEVEL": "debug", "HEALTH_LOG_FORMAT": "json", "HEALTH_PROBES_PORT": str(plain.probes_port)}
    env = environment(wrong, **variables(wrong), **more)
    command = [sys.executable, "-m", "service", "consume"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        await becomes(plain, 503, "Kafka refuses the credentials")
        await asyncio.sleep(4)
        process.terminate()
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [line["level"] for line in lines if line["event"] == "kafka_refuses"] == ["error"]
    assert len([line for line in lines if line["logger"].startswith("aiokafka")]) <= 3, "for several tries"
    assert "wrong-secret" not in out + err
    assert err.splitlines()[-1].startswith("account-health: Kafka refuses the credentials. Check HEALTH_KAFKA_SASL")


async def test_a_consumer_waits_until_it_is_let_in(plain: Settings, engine: AsyncEngine, server_folder: Path) -> None:
    """The password is changed on the broker's side first: refused at the start, and in the midst of work."""
    with SecureKafka(server_folder) as kafka:
        settings = plain.model_copy(update={"kafka_bootstrap_servers": kafka.address})
        await create_topics(settings)
        secured = kafka.to(settings, "SASL_PLAINTEXT", "PLAIN")
        kafka.set_password("the next one")
        await asyncio.to_thread(kafka.restart)
        with capture_logs() as logs:
            async with consuming(secured):
                await becomes(plain, 503, "Kafka refuses the credentials")
                kafka.set_password("the-password-of-health")
                await asyncio.to_thread(kafka.restart)
                await becomes(plain, 200)
                await produce(kafka.address, [record(settings.topic_usage, usage("acme"))])
                await folded_up_to(engine, 1)
                kafka.set_password("the next one")
                await asyncio.to_thread(kafka.restart)
                await becomes(plain, 503, "Kafka refuses the credentials")
                kafka.set_password("the-password-of-health")
                await asyncio.to_thread(kafka.restart)
                await becomes(plain, 200)
                await produce(kafka.address, [record(settings.topic_usage, usage("globex"))])
                await folded_up_to(engine, 2)
    refused = [line for line in logs if line["event"] == "kafka_refuses"]
    assert 2 <= len(refused) <= 4, "one line for each change, and none for each try"
    assert {line["log_level"] for line in refused} == {"error"}


async def test_rights_that_are_documented_suffice(plain: Settings, kafka: SecureKafka, engine: AsyncEngine) -> None:
    prefix = plain.kafka_group.removesuffix("group")
    limited = kafka.to(plain, "SASL_SSL", "SCRAM-SHA-256", kafka_sasl_username=LIMITED)
    publisher = Publisher(limited)
    with pytest.raises(NotPublishedError, match="Kafka doesn't allow operations that the service needs"):
        await publisher.publish([(plain.topic_usage, "acme", encode(usage("acme")))])
    await kafka.allow((TOPIC, prefix, PREFIXED, READ), (TOPIC, prefix, PREFIXED, DESCRIBE))
    with pytest.raises(HealthError, match=r"GroupAuthorizationFailed.*deploy/kafka-security.md"):
        async with consuming(limited):
            await asyncio.sleep(10)
    await kafka.allow((GROUP, plain.kafka_group, LITERAL, READ))
    async with consuming(limited):
        await becomes(plain, 200)
        await kafka.allow((TOPIC, plain.topic_usage, LITERAL, WRITE))
        await publisher.publish([RawRecord(plain.topic_usage, b"acme", encode(usage("acme")))])
        await folded_up_to(engine, 1)
    await publisher.stop()
    await kafka.allow((TOPIC, f"{prefix}new-", PREFIXED, CREATE), (TOPIC, f"{prefix}new-", PREFIXED, DESCRIBE))
    names = {f"topic_{name}": f"{prefix}new-{name}" for name in ("usage", "ticket", "survey", "account")}
    created = await create_topics(limited.model_copy(update={**names, "kafka_replication": 1}))
    assert all(created.values())


async def test_a_kafka_client_of_ones_own_can_use_the_same_arguments(plain: Settings, kafka: SecureKafka) -> None:
    async with AIOKafkaProducer(**client_arguments(kafka.to(plain, "SSL"))) as producer:
        assert (await producer.send_and_wait(plain.topic_usage, b"{}")).offset == 0
