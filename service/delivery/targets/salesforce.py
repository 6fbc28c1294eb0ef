"""The target `salesforce`: the score as fields of an Account, found by an external id that holds the account id."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from service.delivery.targets.account_update import account_update
from service.delivery.targets.message import Body, Message
from service.delivery.targets.target import Credentials, Target
from service.errors import HealthError

Field = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9_]*$", max_length=80)]
Version = Annotated[str, Meta(pattern=r"^v[1-9][0-9]{1,2}\.0$", max_length=6)]
Given = Annotated[str, Meta(min_length=1, max_length=2048)]

SUCCESS = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})


class SalesforceOptions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The app that signs in, and the API names of the fields of Account."""

    token_url: Given
    client_id: Given
    client_secret: Given
    api_version: Version = "v62.0"
    external_id_field: Field = "Health_Account_Id__c"
    score_field: Field = "Health_Score__c"
    band_field: Field = "Health_Band__c"
    changed_at_field: Field = "Health_Changed_At__c"

    def __repr__(self) -> str:
        """Without the secret."""
        return f"SalesforceOptions(token_url={self.token_url!r})"


def build(message: Message, options: SalesforceOptions) -> Body:
    """An upsert of one Account; what is missing is null, which clears a field.

    Raises `HealthError` for an account whose id can't stand in a path: `.` and `..` mean another place there,
    percent-encoded or not.
    """
    update = account_update(message)
    if update.account_id in (".", ".."):
        raise HealthError("Salesforce can't be asked for an account whose id is a dot or two", "Give it another id")
    fields = {
        options.score_field: update.score,
        options.band_field: update.band,
        options.changed_at_field: update.changed_at,
    }
    path = (
        f"/services/data/{options.api_version}/sobjects/Account/{options.external_id_field}"
        f"/{quote(update.account_id, safe='')}"
    )
    return Body(msgspec.json.encode(fields), method="PATCH", path=path)


def refusal(status: int, _excerpt: bytes) -> str | None:
    """An upsert is done with 200, 201 or 204; any other 2xx is of something that is no upsert."""
    return None if status in SUCCESS else f"Salesforce does not answer an upsert with {status}"


def credentials(options: SalesforceOptions) -> Credentials:
    """What the bearer token is fetched with."""
    return Credentials(options.token_url, options.client_id, options.client_secret)


SALESFORCE = Target(
    build,
    options=SalesforceOptions,
    refusal=refusal,
    credentials=credentials,
    coalesced="account",
    accounts_only=True,
)
