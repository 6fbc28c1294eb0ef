"""One producer for the whole service."""

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_only_one_module_makes_producers() -> None:
    """Another one could lack the settings that keep records from being lost or doubled."""
    modules = [path for room in ("consumers", "service") for path in (ROOT / room).rglob("*.py")]
    makers = [path.relative_to(ROOT) for path in modules if "AIOKafkaProducer(" in path.read_text()]
    assert makers == [Path("service/messaging/producer.py")]
