"""Tracing that is off costs nothing and needs nothing; and which contexts are taken up."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from aiokafka import ConsumerRecord

from consumers.fold.batch_tracing import contexts
from service.observability import tracing
from service.observability.trace_context import sampled, valid
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

IMPORT = """
import importlib, pkgutil, sys
import consumers, service
from service.runtime.settings import Settings
from service.observability.tracing import tracing
for package in (service, consumers):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith(OTHERS):
            importlib.import_module(module.name)
with tracing(Settings(_env_file=None), "test"):
    print([name for name in sys.modules if name.startswith("opentelemetry")])
"""

WITHOUT_EXTRA = """
import sys
sys.modules["opentelemetry"] = None
from service.runtime.settings import Settings
from service.observability.tracing import tracing
with tracing(Settings(_env_file=None, tracing="otlp"), "test"):
    pass
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_nothing_of_opentelemetry_is_imported_while_tracing_is_off() -> None:
    ours = ("service.observability.opentelemetry", "service.__main__")
    result = run(f"OTHERS = {(*ours, 'service.api', 'service.cli', 'service.demo')}" + IMPORT)
    assert result.stdout.strip().splitlines()[-1] == "[]", result.stderr
    # FastAPI imports OpenTelemetry's names by itself, where they are; still nothing that would trace or send.
    result = run(f"OTHERS = {ours}" + IMPORT)
    assert ".sdk" not in result.stdout + result.stderr
    assert ".exporter" not in result.stdout


def test_without_the_extra_the_command_to_install_it_is_named() -> None:
    result = run(WITHOUT_EXTRA)
    assert (
        result.stderr.strip()
        .splitlines()[-1]
        .endswith(
            "HEALTH_TRACING is otlp, but OpenTelemetry isn't installed."
            " In the source folder, run: pip install '.[otel]'"
        )
    )


def test_variables_of_opentelemetry_that_are_wrong_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with (
        pytest.raises(HealthError, match="Tracing can't be started"),
        tracing.tracing(Settings(_env_file=None, tracing="otlp"), "test"),
    ):
        pass
    assert not tracing.is_on()


def test_a_span_that_is_off_is_always_the_same() -> None:
    assert tracing.span("one") is tracing.span("another", "server", parent=CONTEXT)
    with tracing.span("one") as span:
        assert span.traceparent is None
    assert tracing.current() is None


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (CONTEXT, CONTEXT),
        (CONTEXT.replace("00-", "cc-", 1), CONTEXT),
        (CONTEXT.replace("00-", "cc-", 1) + "-more", CONTEXT),
        (CONTEXT + "-more", None),
        (CONTEXT.replace("00-", "ff-", 1), None),
        (CONTEXT.upper(), None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None),
        ("", None),
        (CONTEXT[:-1], None),
    ],
)
def test_contexts_are_those_of_the_specification(text: str, taken: str | None) -> None:
    assert valid(text) == taken


def test_only_contexts_whose_trace_is_kept_are_taken_up() -> None:
    assert sampled(CONTEXT.encode()) == CONTEXT
    assert sampled((CONTEXT[:-2] + "03").encode()) == CONTEXT[:-2] + "03"
    assert sampled((CONTEXT[:-2] + "00").encode()) is None
    assert sampled(b"\xff" * 55) is None
    assert sampled(b"00-" * 1000) is None
    assert sampled(None) is None


def record(offset: int, value: bytes | None = b"{}", **headers: bytes) -> ConsumerRecord:
    return SimpleNamespace(offset=offset, value=value, headers=tuple(headers.items()))


def test_a_header_goes_before_the_attribute() -> None:
    other = CONTEXT.replace("b7", "aa")
    attribute = b'{"traceparent": "%s"}' % other.encode()
    records = [
        record(1, traceparent=CONTEXT.encode()),
        record(2, ce_traceparent=CONTEXT.encode()),
        record(3, attribute),
        record(4, attribute, traceparent=CONTEXT.encode()),
        record(5, b'{"data": {"traceparent": "%s"}}' % other.encode()),
        record(6, b'{"traceparent": 7}'),
        record(7, b'"traceparent" no JSON \xff'),
        record(8, None),
        record(9, b"[" * 5_000 + b'"traceparent"'),
        record(10, attribute, traceparent=b"rubbish"),
    ]
    assert contexts(records) == {1: CONTEXT, 2: CONTEXT, 3: other, 4: CONTEXT, 10: other}
