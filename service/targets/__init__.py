"""Targets: the formats in which a message can be sent. One module each, registered here."""

from collections.abc import Mapping
from types import MappingProxyType

from service.runtime.errors import HealthError
from service.runtime.target_kinds import Scope, Targets
from service.targets.alertmanager import ALERTMANAGER
from service.targets.cloudevents import CLOUDEVENTS
from service.targets.hubspot import HUBSPOT
from service.targets.kafka import KAFKA
from service.targets.salesforce import SALESFORCE
from service.targets.slack import SLACK
from service.targets.standard import STANDARD
from service.targets.target import Target
from service.targets.teams import TEAMS

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "standard": STANDARD,
        "cloudevents": CLOUDEVENTS,
        "slack": SLACK,
        "teams": TEAMS,
        "alertmanager": ALERTMANAGER,
        "hubspot": HUBSPOT,
        "salesforce": SALESFORCE,
        "kafka": KAFKA,
    }
)
ACCOUNTS_ONLY = frozenset(name for name, target in TARGETS.items() if target.accounts_only)
ROUTED = Targets(states=ACCOUNTS_ONLY, people=frozenset(name for name, target in TARGETS.items() if target.for_people))
COALESCED: Mapping[str, Scope] = MappingProxyType(
    {name: target.coalesced for name, target in TARGETS.items() if target.coalesced}
)


def target_of(name: str) -> Target:
    """The target of that name; raises `HealthError`, which lists the names, if there is none."""
    try:
        return TARGETS[name]
    except KeyError:
        raise HealthError(f"target {name!r} is unknown", f"Use one of: {', '.join(TARGETS)}") from None
