"""/v1/accounts: the accounts, their attributes, and erasing one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, cast, get_args
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Query, Response
from msgspec import Meta
from pydantic import BaseModel, Field

from scoring.state.calendar import to_micros
from service.api.access.auth import READ, WRITE
from service.api.access.deps import RIGHT_CLOCK, Api
from service.api.http.account_filters import AccountFilters
from service.api.http.account_paths import AccountId
from service.api.http.day_range import Instant
from service.api.http.openapi_helpers import json_request_body, schema_ref
from service.api.http.pagination import TokenText, encode_token
from service.api.http.problems import FieldError, invalid, not_found
from service.api.http.request_bodies import JsonObject
from service.api.middleware.tracing import publish, traces
from service.api.resources.account_document import Account, listed, shown
from service.evaluation import current_health
from service.evaluation.erase_account import erase
from service.evaluation.evaluate import Inputs, advance_accounts
from service.messaging import cloudevents
from service.messaging.cloudevents import Decoded
from service.messaging.envelope import InvalidEventError
from service.storage.accounts import accounts
from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.listing import page as account_listing
from service.storage.accounts.listing.page import Sort, in_shown_order

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

SOURCE = "/v1/accounts"
"""The `source` of the events that represent changes by HTTP."""


AskedSort = Literal[
    "account_id", "-account_id", "score", "-score", "changed_at", "-changed_at", "evaluated_at", "-evaluated_at"
]


class AccountPage(BaseModel):
    """A page of accounts."""

    items: Sequence[Account]
    next_page_token: str | None


class AccountQuery(AccountFilters):
    """Filters and order of accounts. A filter may be repeated; one of its values has to match."""

    churned: bool | None = Field(
        None, description="`true`: those whose `churned_on` is today (UTC) or earlier; `false`: the others."
    )
    min_score: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    max_score: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    changed_since: Instant | None = Field(
        None,
        description="Accounts whose score changed at or after this instant, by at least a tenth of a point or in its "
        "band, and those created since: their `changed_at`.",
    )
    sort: AskedSort = Field(
        "account_id",
        description="`-` sorts in descending order; equal values go by account id, in the same direction, and accounts "
        "without a score come last. `evaluated_at` is a deprecated synonym of `changed_at`.",
    )

    @property
    def order(self) -> Sort:
        """The order, by its proper name."""
        return cast(Sort, self.sort.replace("evaluated_at", "changed_at"))

    def filter(self, today: date) -> AccountFilter:
        """The filter for storage."""
        return replace(
            self.of_accounts(today, churned=self.churned),
            min_score=self.min_score,
            max_score=self.max_score,
            changed_since=self.changed_since,
        )


_VALUES: dict[str, Any] = {
    "account_id": TokenText,
    "score": float | None,
    "changed_at": Annotated[datetime, Meta(tz=True)],
}
_TOKENS: dict[Sort, Any] = {
    sort: tuple[Literal[sort], _VALUES[sort.removeprefix("-")], TokenText]  # type: ignore[misc, valid-type] # made of values
    for sort in get_args(Sort)
}
"""Tokens name their order: those of another list are refused, and those of versions with other orders."""
_encoder = msgspec.json.Encoder(decimal_format="number")


@router.get("", summary="List accounts", dependencies=READ, response_model=AccountPage)
async def list_accounts(query: Annotated[AccountQuery, Query()], api: Api) -> Response:
    """Accounts with their attributes and stored scores. The sweeper brings every score to the new day soon after
    midnight UTC. Filters and order follow a score when it changes by a tenth of a point, or in its band. What is shown
    is exact, and left out if it doesn't match, so a page can be short. So can one with an account that was scored for a
    future day, by a wrong clock: it is shown as of today.
    """
    order = query.order
    named = query.start(_TOKENS[order])
    after = None if named is None else named[1:]
    now = api.clock().astimezone(UTC)
    wanted = query.filter(now.date())
    async with api.engine.connect() as connection:
        page = await account_listing.page(connection, wanted, sort=order, after=after, size=query.page_size)
        policy = await api.policies.recent(connection)
        today = await current_health.of_today(connection, page.accounts, api.policies, now)
    shown_accounts = in_shown_order([each for each in today if wanted.matches(each)], order)
    items = [listed(each, policy) for each in shown_accounts]
    token = None if page.after is None else encode_token((order, *page.after))
    return Response(_encoder.encode({"items": items, "next_page_token": token}), media_type="application/json")


@router.get("/{account_id:account}", summary="One account", dependencies=READ)
async def read_account(account_id: AccountId, api: Api) -> Account:
    """An account's attributes and its stored score."""
    async with api.reads.connect() as connection:
        account = await accounts.get(connection, account_id)
        if account is None:
            raise not_found("account")
        policy = await api.policies.recent(connection)
        (account,) = await current_health.of_today(connection, [account], api.policies, api.clock().astimezone(UTC))
    return shown(account, policy)


@router.put(
    "/{account_id:account}",
    summary="Change an account's attributes",
    dependencies=[*WRITE, *RIGHT_CLOCK],
    openapi_extra=json_request_body(
        schema_ref("AttributesData"), {"name": "Acme", "segment": "enterprise", "seats": 40}
    ),
)
async def change_account(account_id: AccountId, body: JsonObject, api: Api) -> Account:
    """Only the given fields change, and null clears one; an unknown account is created.

    The change goes to Kafka as an `account.changed` event, so that a replay includes it, and takes effect before the
    answer. A 503 may come after Kafka has it: then it takes effect a little later, and sending it again does no harm.
    """
    now = api.clock().astimezone(UTC)
    value, decoded = _event(account_id, body, now)
    await publish(api.publisher, [(api.settings.topic_account, account_id, value)], over_events=True)
    async with api.engine.begin() as connection:
        policy = await api.policies.in_force(connection)
        # The consumer will fold the very same event again, which changes nothing: its writer is not later than itself.
        inputs = Inputs({account_id: [decoded.event]}, traces=traces(account_id))
        await advance_accounts(connection, inputs, policy, now, base_url=api.settings.base_url)
        account = await accounts.get(connection, account_id)
        assert account is not None
        (account,) = await current_health.of_today(connection, [account], api.policies, now)
    return shown(account, policy)


def _event(account_id: str, attributes: dict[str, Any], now: datetime) -> tuple[bytes, Decoded]:
    value = msgspec.json.encode(
        {
            "specversion": "1.0",
            "type": cloudevents.type_of("account"),
            "source": SOURCE,
            "id": str(uuid4()),
            "subject": account_id,
            "time": now,
            "data": attributes,
        }
    )
    try:
        return value, cloudevents.decode_structured("account", value, to_micros(now))
    except InvalidEventError as error:
        raise invalid(FieldError(error.field.removeprefix("data.") or "body", error.message)) from None


@router.delete("/{account_id:account}", status_code=204, summary="Erase an account", dependencies=WRITE)
async def erase_account(account_id: AccountId, api: Api) -> None:
    """Delete everything about an account: attributes, state, score, alerts, deliveries, dead letters, and what was
    expected of it.

    Endpoints that were sent a firing alert of it are sent its end. Events about it that arrive later, or are replayed,
    create it again.
    """
    async with api.engine.begin() as connection:
        if not await erase(connection, account_id, api.clock()):
            raise not_found("account")
