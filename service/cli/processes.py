"""The commands that run one process each."""

from importlib import import_module

import typer

from service.cli.run_process import run_process
from service.runtime.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (api, consume, sweep, deliver):
        app.command()(command)


def api() -> None:
    """Serve the HTTP API."""
    run_process("api", import_module("service.api.server").serve, load_settings())


def consume() -> None:
    """Fold events from Kafka into scores. Run as many as the load needs; they share the partitions."""
    # By name: service doesn't import consumers, and a consumer's image need not hold the API.
    run_process("consume", import_module("consumers.fold.runner").run, load_settings())


def sweep() -> None:
    """Re-evaluate accounts as time passes, so that silence is noticed."""
    run_process("sweep", import_module("consumers.sweep.runner").run, load_settings())


def deliver() -> None:
    """Send alerts to webhook endpoints."""
    run_process("deliver", import_module("service.delivery.worker").serve, load_settings())
