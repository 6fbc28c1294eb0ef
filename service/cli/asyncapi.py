"""`account-health asyncapi`: what goes through Kafka, described."""

from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from service.runtime.settings import load_settings


class DocumentFormat(StrEnum):
    """How to write it."""

    YAML = "yaml"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(asyncapi)


def asyncapi(
    form: Annotated[DocumentFormat, typer.Option("--format", help="How to write it.")] = DocumentFormat.YAML,
) -> None:
    """Print the AsyncAPI document of the topics, under the names that the settings give them."""
    # Here, as it takes a second: the API describes the service.
    from service.api.docs.asyncapi import document

    described = document(load_settings())
    write = msgspec.yaml.encode if form is DocumentFormat.YAML else msgspec.json.encode
    typer.echo(write(described).decode().rstrip("\n"))
