"""The target `hubspot`: the score as properties of a company, found by a property that holds the account id."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from service.delivery.targets.account_update import account_update
from service.delivery.targets.message import Body, Message
from service.delivery.targets.target import Target

PATH = "/crm/v3/objects/companies/batch/upsert"
LONGEST_REASON = 500
DECIMALS = 4

Property = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", max_length=100)]


class HubSpotOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """The internal names of the company properties. The values of `id_property` have to be unique in HubSpot."""

    id_property: Property = "account_health_id"
    score_property: Property = "account_health_score"
    band_property: Property = "account_health_band"
    changed_at_property: Property = "account_health_changed_at"


class _Problem(Struct):
    message: str = ""


class _Answer(Struct, rename="camel"):
    num_errors: int = 0
    errors: list[_Problem] = []


def build(message: Message, options: HubSpotOptions) -> Body:
    """An upsert of one company. What is missing is written as an empty string, which clears a property."""
    update = account_update(message)
    properties = {
        options.score_property: _number(update.score),
        options.band_property: update.band or "",
        options.changed_at_property: update.changed_at,
    }
    company = {"idProperty": options.id_property, "id": update.account_id, "properties": properties}
    return Body(msgspec.json.encode({"inputs": [company]}), path=PATH)


def _number(score: float | None) -> str:
    # Properties are strings on the wire, numbers too.
    return "" if score is None else f"{round(score, DECIMALS):g}"


def refusal(status: int, excerpt: bytes) -> str | None:
    """The first error of a 207, which says that a batch was done in part: ours is of one, so it was not done."""
    if status != HTTPStatus.MULTI_STATUS:
        return None
    try:
        answer = msgspec.json.decode(excerpt, type=_Answer)
    except msgspec.MsgspecError:
        return "HubSpot answered 207, and its answer can't be read"
    if not answer.errors and answer.num_errors <= 0:
        return None
    reason = answer.errors[0].message if answer.errors else ""
    return reason[:LONGEST_REASON] or "HubSpot answered 207 with an error that it does not explain"


HUBSPOT = Target(build, options=HubSpotOptions, refusal=refusal, coalesced="account", accounts_only=True)
