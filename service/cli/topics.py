"""`account-health topics …`."""

import asyncio

import typer

from service.messaging.foreign_topics import inspect
from service.messaging.topics import create_topics
from service.runtime.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The topics in Kafka.", no_args_is_help=True)
    group.command()(create)
    group.callback()(lambda: None)
    app.add_typer(group, name="topics")


def create() -> None:
    """Create the missing topics (HEALTH_KAFKA_PARTITIONS partitions each, 12 by default).

    Existing topics stay as they are; if one lacks something, the output says so, with the command that fixes it.
    """
    settings = load_settings()
    for name, created in asyncio.run(create_topics(settings)).items():
        typer.echo(f"{name}: {'created' if created else 'exists already'}")
    for topic in asyncio.run(inspect(settings)):
        typer.echo(f"{topic.name}: {topic.problems}. To fix it: {topic.remedy}", err=True)
