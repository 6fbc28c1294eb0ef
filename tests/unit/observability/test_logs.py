"""The form of log lines: secrets are masked, repetitions of libraries are written once, and ids connect them."""

import io
import json
import logging
import subprocess
import sys
import time

import pytest

from service.observability.log_throttle import AGAIN_SECONDS, RepeatFilter
from service.observability.redaction import MASK, redact

SECRETS = [
    ({"reason": "no such secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ({"key": "hk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"}, "0123456789abcdef"),
    ({"reason": "401 for Authorization: Bearer abcdefgh.ijkl-mnop"}, "ijkl-mnop"),
    ({"headers": {"Authorization": "Basic dXNlcjpwYXNz"}}, "dXNlcjpwYXNz"),
    ({"headers": {"X-Api-Key": "planted"}}, "planted"),
    ({"headers": [{"cookie": "planted"}]}, "planted"),
    ({"database_url": "anything"}, "anything"),
    ({"kafka_sasl_password": "planted"}, "planted"),
    ({"url": "postgresql://health:pl@nted-secret@db/health"}, "nted-secret"),
    ({"reason": "could not reach https://:planted@example.com/"}, "planted"),
    ({"reason": "client_secret=planted&grant_type=x"}, "planted"),
    ({"reason": "{'password': 'planted'}"}, "planted"),
    ({"reason": 'refused "ann.lee+x@mail.example.com" at once'}, "ann.lee"),
    ({"comment": "she is leaving"}, "leaving"),
    ({"user_id": "ann"}, "ann"),
    ({"exception": "Traceback …\nasyncpg: value too long\nDETAIL:  Failing row contains (acme, Ann Lee)."}, "Ann Lee"),
    ({"reason": "invalid input for query argument $3: 'Ann Lee' (expected int)"}, "Ann Lee"),
    ({"error": ValueError("token=planted")}, "planted"),
]


@pytest.mark.parametrize(("event", "secret"), SECRETS)
def test_what_looks_like_a_secret_or_like_a_person_is_masked(event: dict[str, object], secret: str) -> None:
    assert secret not in json.dumps(redact(None, "", event))


@pytest.mark.parametrize("text", ["a-" * 32_000, "a" * 64_000, "a." * 32_000, "@" * 64_000, "password" * 8_000])
def test_masking_takes_no_longer_than_the_line_is_long(text: str) -> None:
    began = time.perf_counter()
    redact(None, "", {"reason": text})
    assert time.perf_counter() - began < 0.5


def test_names_of_fields_may_be_anything() -> None:
    assert redact(None, "", {"counts": {1: 2, None: "x"}}) == {"counts": {1: 2, None: "x"}}


def test_everything_else_is_left_as_it_is() -> None:
    event = {
        "event": "delivery_attempted",
        "account_id": "acme",
        "topic": "usage-events",
        "partition": 3,
        "seconds": 0.25,
        "status": None,
        "recorded": True,
        "url": "http://127.0.0.1:8080/v1/accounts/acme",
        "page_token": "",
        "remedy": "Check HEALTH_KAFKA_SASL_USERNAME and HEALTH_KAFKA_SASL_PASSWORD",
        "reason": "Kafka at kafka-1:9092,kafka-2:9092 can't be reached",
    }
    assert redact(None, "", event) == event
    assert redact(None, "", {"password": "x"}) == {"password": MASK}


def test_a_noisy_library_is_logged_once_in_a_while() -> None:
    clock = [0.0]
    heard = RepeatFilter(lambda: clock[0])

    def line(name: str, number: int) -> logging.LogRecord:
        return logging.LogRecord(
            name, logging.ERROR, "client.py", number, "Unable connect to %s", ("kafka:9092",), None
        )

    assert [heard.filter(line("aiokafka.client", 7)) for _ in range(3)] == [True, False, False]
    assert heard.filter(line("aiokafka.client", 8))
    assert [heard.filter(line("service.observability.probes", 7)) for _ in range(2)] == [True, True]
    clock[0] = AGAIN_SECONDS
    again = line("aiokafka.client", 7)
    assert heard.filter(again)
    assert again.levelname == "WARNING", "it tries again"
    assert again.getMessage() == "Unable connect to kafka:9092 (and 2 times since it was last said)"


PROGRAM = """
import logging, threading, structlog
from service.observability.logs import configure_logs
from service.runtime.settings import Settings
configure_logs(Settings(_env_file=None, log_level="debug", log_format="json"), "test")
structlog.contextvars.bind_contextvars(batch_id="b1")
structlog.get_logger("ours").info("begun", password="planted")
for name in ("uvicorn.error", "alembic.runtime", "aiokafka.client", "sqlalchemy.engine"):
    logging.getLogger(name).debug("planted")
    logging.getLogger(name).warning("trouble with %s", "whsec_planted")
thread = threading.Thread(target=lambda: structlog.get_logger("ours").warning("elsewhere"))
thread.start(); thread.join()
try:
    raise ValueError("of ann@example.com")
except ValueError:
    structlog.get_logger("ours").exception("broken")
"""


def test_all_lines_have_one_form() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in io.StringIO(result.stderr)]
    assert [line["logger"] for line in lines] == [
        "ours", "uvicorn.error", "alembic.runtime", "aiokafka.client", "sqlalchemy.engine", "ours", "ours",
    ]  # fmt: skip
    assert all({"event", "level", "timestamp", "process"} <= line.keys() for line in lines)
    assert [line["process"] for line in lines] == ["test"] * len(lines)
    assert [line.get("batch_id") for line in lines] == [*["b1"] * 5, None, "b1"], "a thread isn't part of the batch"
    assert "planted" not in result.stderr
    assert "ann@example.com" not in result.stderr
    assert "Traceback" in lines[-1]["exception"]
