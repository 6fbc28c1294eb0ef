"""Links to an account: a page of the CRM, by a template that the operator gives. Pure."""

from urllib.parse import quote, urlsplit

from scoring.rules.links import is_web_address

PLACE = "{account_id}"
_ELSEWHERE = (".", "..")
"""Ids that mean another folder in a path, percent-encoded or not."""


def check_template(template: str) -> str:
    """Return the template if it can be used; raise `ValueError` with what it must be otherwise."""
    if PLACE not in template or any(brace in template.replace(PLACE, "") for brace in "{}"):
        raise ValueError(f"must have {PLACE} where the account's id goes, and no other braces")
    if not is_web_address(template, ("https", "http")):
        raise ValueError(f"must be a web address such as https://crm.example/accounts/{PLACE}")
    if "{" in urlsplit(template).netloc:
        raise ValueError(f"must have {PLACE} after the host, not in it")
    return template


def account_link(template: str, account_id: str | None) -> str:
    """The link to an account, its id escaped; empty without a template, or if the id can't be part of a link."""
    if not template or account_id is None or account_id in _ELSEWHERE:
        return ""
    return template.replace(PLACE, quote(account_id, safe=""))
