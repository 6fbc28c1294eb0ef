"""The target `salesforce`: the score as fields of an Account, found by an external id that holds the account id.

The account id goes into the request's path, unless it contains a dot: Salesforce takes the part after it for a file
extension and answers 404, percent-encoded or not. Then it goes into the body of a request for several records, of which
there is one. https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
"""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta, Struct

from service.runtime.errors import HealthError
from service.targets.account_update import account_update
from service.targets.message import Body, Message
from service.targets.salesforce_answers import refusal, verdict
from service.targets.target import Credentials, Target

FieldName = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9_]*$", max_length=80)]
SalesforceVersion = Annotated[str, Meta(pattern=r"^v[1-9][0-9]{1,2}\.0$", max_length=6)]
RequiredText = Annotated[str, Meta(min_length=1, max_length=2048)]

KNOWS_UPDATE_ONLY = 61
"""The first version that supports it; an earlier one creates the account all the same."""
FOUND, UPDATED = "found", "updated"


class SalesforceOptions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The app that signs in, and the API names of the fields of Account.

    With `update_only` an account that Salesforce doesn't know is skipped, and not created.
    """

    token_url: RequiredText
    client_id: RequiredText
    client_secret: RequiredText
    api_version: SalesforceVersion = "v62.0"
    external_id_field: FieldName = "Health_Account_Id__c"
    score_field: FieldName = "Health_Score__c"
    band_field: FieldName = "Health_Band__c"
    changed_at_field: FieldName = "Health_Changed_At__c"
    update_only: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError` if the version doesn't support the options."""
        if self.update_only and float(self.api_version[1:]) < KNOWS_UPDATE_ONLY:
            raise ValueError(f"update_only needs api_version v{KNOWS_UPDATE_ONLY}.0 or later")

    def __repr__(self) -> str:
        """Omit the secret."""
        return f"SalesforceOptions(token_url={self.token_url!r})"

    @property
    def services(self) -> str:
        """The path that all others start with."""
        return f"/services/data/{self.api_version}"


def build(message: Message, options: SalesforceOptions) -> Body:
    """An upsert of one Account; missing values are null, which clears a field.

    A test writes an Account of its own, with a name to recognise it by. With `update_only` it queries the fields
    instead, which shows as much without creating one. Raises `HealthError` for an account whose id is a dot or two.
    """
    update = account_update(message)
    if update.account_id in (".", ".."):
        raise HealthError("Salesforce can't look up an account whose id is a dot or two dots", "Give it another id")
    fields = {
        options.score_field: update.score,
        options.band_field: update.band,
        options.changed_at_field: update.changed_at,
        **({"Name": update.name} if update.name else {}),
    }
    if update.name and options.update_only:
        return Body(b"", method="GET", path=f"{options.services}/query", query=_query(update.account_id, options))
    if "." not in update.account_id:
        return _by_path(update.account_id, fields, options)
    return (_update_only if options.update_only else _by_body)(update.account_id, fields, options)


def _by_path(account_id: str, fields: dict[str, Any], options: SalesforceOptions) -> Body:
    path = f"{options.services}/sobjects/Account/{options.external_id_field}/{quote(account_id, safe='')}"
    query = "updateOnly=true" if options.update_only else ""
    return Body(msgspec.json.encode(fields), method="PATCH", path=path, query=query)


def _by_body(account_id: str, fields: dict[str, Any], options: SalesforceOptions) -> Body:
    record = {"attributes": {"type": "Account"}, options.external_id_field: account_id, **fields}
    path = f"{options.services}/composite/sobjects/Account/{options.external_id_field}"
    return Body(msgspec.json.encode({"allOrNone": True, "records": [record]}), method="PATCH", path=path)


def _update_only(account_id: str, fields: dict[str, Any], options: SalesforceOptions) -> Body:
    """A query for the record and its update, in one request: an upsert by the body would create it."""
    requests = [
        {"method": "GET", "referenceId": FOUND, "url": f"{options.services}/query?{_query(account_id, options)}"},
        {
            "method": "PATCH",
            "referenceId": UPDATED,
            "url": f"{options.services}/sobjects/Account/@{{{FOUND}.records[0].Id}}",
            "body": fields,
        },
    ]
    return Body(
        msgspec.json.encode({"allOrNone": False, "compositeRequest": requests}), path=f"{options.services}/composite"
    )


def _query(account_id: str, options: SalesforceOptions) -> str:
    names = ", ".join(["Id", options.score_field, options.band_field, options.changed_at_field])
    text = account_id.replace("\\", "\\\\").replace("'", "\\'")
    where = f"{options.external_id_field} = '{text}'"
    return urlencode({"q": " ".join(["SELECT", names, "FROM Account WHERE", where, "LIMIT 1"])})


def credentials(options: SalesforceOptions) -> Credentials:
    """The credentials that the bearer token is fetched with."""
    return Credentials(options.token_url, options.client_id, options.client_secret)


SALESFORCE = Target(
    build,
    options=SalesforceOptions,
    refusal=refusal,
    verdict=verdict,
    credentials=credentials,
    coalesced="account",
    accounts_only=True,
)
