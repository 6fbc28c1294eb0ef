"""Settings and options that can't be used are refused in words of the service's own."""

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.runtime.errors import HealthError
from service.runtime.settings import load_settings


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HEALTH_DATABASE_URL", "mysql://x", "HEALTH_DATABASE_URL can't be used: must start with postgresql://. Set"),
        ("HEALTH_TOPIC_USAGE", "", "HEALTH_TOPIC_USAGE can't be used: String should have at least 1 character"),
        (
            "HEALTH_ACCOUNT_URL",
            "https://crm.example/",
            "HEALTH_ACCOUNT_URL can't be used: must have {account_id} where",
        ),
        ("HEALTH_ACCOUNT_URL", "crm.example/{account_id}", "HEALTH_ACCOUNT_URL can't be used: must be a web address"),
        ("HEALTH_HTTP_PORT", "high", "HEALTH_HTTP_PORT can't be used: Input should be a valid integer"),
    ],
)
def test_a_setting_that_will_not_do_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(HealthError) as refused:
        load_settings({variable: value})
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "daily", "--from", "yesterday"), "Invalid value for '--from': 'yesterday' does not match"),
        (("asyncapi", "--format", "xml"), "Invalid value for '--format': 'xml' is not one of 'yaml', 'json'"),
    ],
)
def test_so_is_an_option(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert f"Error: {said}" in result.stderr
