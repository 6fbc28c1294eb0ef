"""`account-health asyncapi`: a description of the messages in Kafka."""

from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from service.runtime.settings import load_settings


class DocumentFormat(StrEnum):
    """The format to write."""

    YAML = "yaml"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(asyncapi)


def asyncapi(
    form: Annotated[DocumentFormat, typer.Option("--format", help="The format of the document.")] = DocumentFormat.YAML,
) -> None:
    """Print the AsyncAPI document of the topics, under the names that the settings give them."""
    # Here, as importing it takes a second.
    from service.api.docs.asyncapi import document

    described = document(load_settings())
    write = msgspec.yaml.encode if form is DocumentFormat.YAML else msgspec.json.encode
    typer.echo(write(described).decode().rstrip("\n"))
