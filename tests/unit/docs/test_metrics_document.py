"""deploy/metrics.md tells of every metric there is, and of no other."""

import re

from tests.support.paths import ROOT
from tests.support.registered import registered

DOCUMENT = ROOT / "deploy" / "metrics.md"
ROW = re.compile(r"^\| `(health_\w+)` \|.*$", re.MULTILINE)
UNBOUNDED = {"account", "account_id", "endpoint", "endpoint_id", "url", "path", "user", "owner", "id"}


def test_the_table_is_what_the_module_registers() -> None:
    expected = [
        f"| `{each.name}` | {each.type} | {' '.join(f'`{label}`' for label in each.labels)} | {each.meaning} |"
        for each in registered()
    ]
    found = [match.group() for match in ROW.finditer(DOCUMENT.read_text())]
    assert found == expected, "\n".join(expected)


def test_names_have_the_prefix_and_labels_are_bounded() -> None:
    for each in registered():
        assert each.name.startswith("health_")
        assert not UNBOUNDED & set(each.labels), each.name
