"""Links to accounts: by the operator's template, and never anywhere else, whatever an account is called."""

from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.runtime.account_links import account_link, check_template

TEMPLATE = "https://crm.example/accounts/{account_id}"


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE,
        "http://localhost:3000/#/a/{account_id}/health",
        "https://crm.example/?id={account_id}&again={account_id}",
    ],
)
def test_templates_that_will_do(template: str) -> None:
    assert check_template(template) == template


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("https://crm.example/accounts", "{account_id}"),
        ("https://crm.example/{account_id", "{account_id}"),
        ("https://crm.example/{account_id}/{name}", "no other braces"),
        ("https://crm.example/{account_id!r}", "{account_id}"),
        ("https://crm.example/{{account_id}}", "no other braces"),
        ("javascript:alert({account_id})", "web address"),
        ("//crm.example/{account_id}", "web address"),
        ("https:///{account_id}", "web address"),
        ("https://ann:secret@crm.example/{account_id}", "web address"),
        ("https://crm.example:x/{account_id}", "web address"),
        ("https://crm.example/a b/{account_id}", "web address"),
        ("https://crm.example/\n{account_id}", "web address"),
        ("https://{account_id}.crm.example/", "after the host"),
    ],
)
def test_an_unusable_template_is_refused_with_the_reason(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("{", r"\{")):
        check_template(template)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=256))
def test_a_link_leads_to_the_account_whatever_its_id(account_id: str) -> None:
    link = account_link(TEMPLATE, account_id)
    if account_id in (".", ".."):
        assert link == ""
        return
    parts = urlsplit(urljoin("https://elsewhere.example/", link))
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "crm.example", "", "")
    assert parts.path.count("/") == 2
    assert unquote(parts.path) == f"/accounts/{account_id}"


def test_without_a_template_or_an_account_there_is_no_link() -> None:
    assert account_link("", "acme") == account_link(TEMPLATE, None) == ""
