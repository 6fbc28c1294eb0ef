"""CloudEvents as senders write them: the envelope, and `data` of each type of event.

Unknown attributes of the envelope are extensions, which the specification allows. Unknown fields of `data` are
mistakes.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from scoring.state.events import SurveyKind
from service.runtime.text import PRINTABLE_SCHEMA, STORABLE_SCHEMA

Identifier = Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=STORABLE_SCHEMA)]
EventText = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema=STORABLE_SCHEMA)]
# Schemas of what is checked only after decoding: `event_schemas` publishes them for senders.
_PrintableId = Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=PRINTABLE_SCHEMA)]
_PrintableWord = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema=PRINTABLE_SCHEMA)]
_ON_A_SCALE: dict[str, Any] = {"minimum": -1000, "maximum": 1000}
_JsonType = Annotated[str, Meta(extra_json_schema={"pattern": "[Jj][Ss][Oo][Nn]"})]


class InvalidEventError(ValueError):
    """An unusable event: `field` is at fault, the message says what is allowed."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UsageData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of usage.recorded."""

    feature: EventText
    user_id: Identifier | None = None
    quantity: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1


class TicketData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of ticket.changed: a snapshot."""

    ticket_id: Identifier
    status: Literal["new", "open", "pending", "hold", "solved", "closed"]
    priority: Literal["low", "normal", "high", "urgent"]
    created_at: Annotated[datetime, Meta(tz=True)]
    solved_at: Annotated[datetime, Meta(tz=True)] | None = None
    reopens: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    satisfaction: Literal["good", "bad"] | None = None


class SurveyData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of survey.answered. The comment is accepted and not kept: no measure reads it."""

    survey: SurveyKind
    response_id: Identifier
    score: Annotated[
        float, Meta(description="From scale_min to scale_max; of nps a whole number.", extra_json_schema=_ON_A_SCALE)
    ]
    respondent_id: Identifier | None = None
    scale_min: (
        Annotated[float, Meta(ge=-1000, le=1000, description="The worst score; by default 0 for nps, else 1.")] | None
    ) = None
    scale_max: (
        Annotated[
            float,
            Meta(
                ge=-1000,
                le=1000,
                description="The best score, above scale_min; by default 10 for nps, 5, or 7 for ces.",
            ),
        ]
        | None
    ) = None
    comment: Annotated[str, Meta(extra_json_schema=STORABLE_SCHEMA)] | None = None


class AttributesData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of account.changed: only the given fields change, null clears one."""

    name: _PrintableWord | UnsetType | None = UNSET
    segment: _PrintableWord | UnsetType | None = UNSET
    stage: _PrintableWord | UnsetType | None = UNSET
    owner: _PrintableWord | UnsetType | None = UNSET
    seats: Annotated[int, Meta(ge=0, le=2_000_000_000)] | UnsetType | None = UNSET
    arr: Decimal | UnsetType | None = UNSET
    started_on: date | UnsetType | None = UNSET
    renews_on: date | UnsetType | None = UNSET
    churned_on: date | UnsetType | None = UNSET
    parent_id: _PrintableId | UnsetType | None = UNSET


Data = TypeVar("Data")


class Envelope(Struct, Generic[Data], gc=False):
    """The attributes of a CloudEvent: `source` and `id` together identify it, `subject` is the account id.

    `backfill` is an extension of this service: the event is loaded history, and nobody is notified of it.
    """

    specversion: Literal["1.0"]
    id: Identifier
    source: Annotated[str, Meta(min_length=1, max_length=1024, extra_json_schema=STORABLE_SCHEMA)]
    type: str
    subject: _PrintableId
    time: Annotated[datetime, Meta(tz=True)]
    data: Data
    data_base64: str | UnsetType | None = UNSET
    """Instead of `data`: the same JSON as base64, as some producers write data that they hold as bytes."""
    datacontenttype: _JsonType | None = None
    backfill: bool = False
