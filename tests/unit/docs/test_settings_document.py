"""deploy/settings.md names every setting that there is, with the default that it has."""

import re

from pydantic import SecretStr

from service.runtime.settings import PREFIX, Settings
from tests.support.paths import ROOT

TEXT = (ROOT / "deploy" / "settings.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", TEXT, re.MULTILINE)


def told(default: object) -> str:
    """A default as the table has it."""
    match default:
        case None | "" | ():
            return "none"
        case bool():
            return str(default).lower()
        case int() | float():
            return str(default).removesuffix(".0")
        case SecretStr():
            return default.get_secret_value()
        case _:
            return str(default)


def test_every_setting_is_there_once_with_its_default() -> None:
    assert len(ROWS) == len(dict(ROWS))
    found = {name: re.sub(r"(\d),(?=\d)", r"\1", default) for name, default in ROWS}
    assert found == {PREFIX + name.upper(): told(each.default) for name, each in Settings.model_fields.items()}
