"""The target `hubspot`: the score as properties of a company, found by a property that holds the account id."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from service.targets.account_update import account_update
from service.targets.answer import ReceiverAnswer
from service.targets.message import Body, Message
from service.targets.target import Target

UNDATED = "v3"
LONGEST_REASON = 500
DECIMALS = 4
FAILED = "error"
"""The `status` of a request that was refused as a whole; a batch has a word such as `COMPLETE`."""
LONGEST_ANSWER = 65_536
"""The bytes of an answer that are read at most."""

PropertyName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", max_length=100)]


HubSpotVersion = Annotated[str, Meta(pattern=r"^(v3|20[0-9]{2}-(0[1-9]|1[0-2]))$")]


class HubSpotOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """The internal names of the company properties. The values of `id_property` have to be unique in HubSpot.

    `api_version` is `v3`, or that of a dated API, such as `2026-09`.
    """

    id_property: PropertyName = "account_health_id"
    score_property: PropertyName = "account_health_score"
    band_property: PropertyName = "account_health_band"
    changed_at_property: PropertyName = "account_health_changed_at"
    api_version: HubSpotVersion = UNDATED

    @property
    def path(self) -> str:
        """The path for upserting companies."""
        place = "/crm/v3/objects" if self.api_version == UNDATED else f"/crm/objects/{self.api_version}"
        return f"{place}/companies/batch/upsert"


class _Problem(Struct):
    message: str = ""


class _Answer(Struct, rename="camel"):
    num_errors: int = 0
    errors: list[_Problem] = []
    status: Any = None
    message: Any = ""


def build(message: Message, options: HubSpotOptions) -> Body:
    """An upsert of one company. Missing values are written as empty strings, which clear a property.

    A test writes a company of its own, with a name to recognise it by.
    """
    update = account_update(message)
    properties = {
        options.score_property: _number(update.score),
        options.band_property: update.band or "",
        options.changed_at_property: update.changed_at,
        **({"name": update.name} if update.name else {}),
    }
    company = {"idProperty": options.id_property, "id": update.account_id, "properties": properties}
    return Body(msgspec.json.encode({"inputs": [company]}), path=options.path)


def _number(score: float | None) -> str:
    # Properties are strings on the wire, numbers too.
    return "" if score is None else f"{round(score, DECIMALS):g}"


def refusal(status: int, excerpt: bytes) -> str | None:
    """The first error of a batch that was only partly done: ours has one entry, so that one failed.

    Some versions of the API report this with 207, others with 200. An answer that isn't JSON doesn't come from HubSpot.
    """
    if status not in (HTTPStatus.OK, HTTPStatus.MULTI_STATUS):
        return None
    try:
        answer = msgspec.json.decode(excerpt, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if ReceiverAnswer(status, {}, excerpt).is_page:
            return f"a page is no answer of HubSpot ({status}): check the endpoint's URL"
        # A long answer is cut off and can't be parsed; errors would be at its beginning.
        cut = status == HTTPStatus.OK and len(excerpt) >= LONGEST_ANSWER
        return None if cut else f"HubSpot answered {status}, and its answer can't be read"
    if not answer.errors and answer.num_errors <= 0 and answer.status != FAILED:
        return None
    reason = answer.errors[0].message if answer.errors else str(answer.message)
    return reason[:LONGEST_REASON] or f"HubSpot answered {status} with an unexplained error"


HUBSPOT = Target(build, options=HubSpotOptions, refusal=refusal, coalesced="account", accounts_only=True)
