"""The target `kafka`: the standard body as a record of a topic in the service's own cluster."""

from service.targets import standard
from service.targets.target import Target

KAFKA = Target(standard.build, transport="kafka")
