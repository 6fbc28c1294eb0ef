"""Writes the dashboards: `python -m deploy.grafana.build`, in the folder above `deploy`."""

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import customer_success, operators

FOLDER = Path(__file__).parent / "dashboards"


def dashboards() -> dict[str, str]:
    """The text of each dashboard, by the name of its file."""
    return {
        "operators.json": _text(operators.build()),
        "customer-success.json": _text(customer_success.build()),
    }


def main() -> None:
    """Write them."""
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)


def _text(made: Dashboard) -> str:
    """As Grafana's provisioning takes it. Panels are numbered, so that links to one stay what they are."""
    built = made.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    main()
