"""The Helm chart in tests: sets of values that people might choose, and the objects that they make."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "account-health"

Values = dict[str, Any]
Object = dict[str, Any]

PROCESSES = {"api": "api", "consumer": "consume", "sweeper": "sweep", "delivery": "deliver"}
"""The component of a process in compose and chart, and the command that it runs."""

MINIMAL: Values = {"kafka": {"bootstrapServers": "kafka:9092"}, "secrets": {"existingSecret": "mine"}}


def merged(values: Values, *changes: Mapping[str, Any]) -> Values:
    """`values` with the changes, deep down."""
    result = copy.deepcopy(values)
    for change in changes:
        for name, value in change.items():
            deeper = isinstance(value, Mapping) and isinstance(result.get(name), dict)
            result[name] = merged(result[name], value) if deeper else copy.deepcopy(value)
    return result


SASL_TLS = merged(
    MINIMAL,
    {
        "kafka": {
            "bootstrapServers": "kafka-1:9094,kafka-2:9094",
            "securityProtocol": "SASL_SSL",
            "sasl": {"mechanism": "SCRAM-SHA-256", "username": "health"},
            "tls": {"existingSecret": "kafka-tls", "certKey": "tls.crt", "keyKey": "tls.key"},
        },
        "networkPolicy": {"kafka": {"ports": [9094]}},
        "consumer": {"autoscaling": {"enabled": True}},
    },
)
EVERYTHING = merged(
    SASL_TLS,
    {
        "image": {"digest": f"sha256:{'a' * 64}", "pullSecrets": [{"name": "registry"}]},
        "publicUrl": "https://health.example.com",
        "settings": {"HEALTH_RETENTION_DAYS": 120, "HEALTH_WEBHOOK_ALLOW_HTTP": True},
        "tracing": {"enabled": True, "endpoint": "http://collector:4318"},
        "api": {
            "autoscaling": {"enabled": True},
            "service": {"annotations": {"a": "b"}},
            "ingress": {"enabled": True, "className": "nginx", "host": "health.example.com", "tlsSecret": "health-tls"},
        },
        "sweeper": {"replicas": 2},
        "analytics": {"reader": True},
        "pod": {
            "labels": {"team": "success"},
            "annotations": {"note": "yes"},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
            "spread": "hard",
        },
        "serviceAccount": {"annotations": {"a": "b"}},
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        },
        "dashboards": {"enabled": True},
    },
)
OWN_SECRETS = merged(
    MINIMAL,
    {
        "secrets": {
            "existingSecret": "",
            "databaseUrl": "postgresql://health:secret@postgres/health",
            "encryptionKey": "sixteen or more characters",
            "kafkaSaslPassword": "secret",
            "readerPassword": "sixteen or more characters",
        },
        "kafka": {"securityProtocol": "SASL_PLAINTEXT", "sasl": {"mechanism": "PLAIN", "username": "health"}},
        "analytics": {"reader": True},
    },
)
SMALL = merged(
    MINIMAL,
    {name: {"replicas": 1} for name in PROCESSES},
    {
        "migration": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False},
        "fullnameOverride": "health",
        "kafka": {"securityProtocol": "SSL", "partitions": 1},
        "consumer": {"autoscaling": {"enabled": True}},
    },
)

VALUE_SETS = {
    "minimal": MINIMAL,
    "sasl and tls": SASL_TLS,
    "everything": EVERYTHING,
    "own secrets": OWN_SECRETS,
    "small": SMALL,
}


@cache
def chart() -> helm_python.Chart:
    """The chart, loaded once."""
    return helm_python.Chart.load(CHART)


def objects(values: Values, *, of: helm_python.Chart | None = None) -> list[Object]:
    """The objects that an installation of release `demo` in namespace `health` would create. Not to be changed."""
    return _rendered(json.dumps(values), of or chart())


@cache
def _rendered(values: str, of: helm_python.Chart) -> list[Object]:
    texts = of.render(json.loads(values), name="demo", namespace="health")
    return list(_documents(text for path, text in sorted(texts.items()) if path.endswith(".yaml")))


def _documents(texts: Iterable[str]) -> Iterator[Object]:
    for text in texts:
        yield from filter(None, yaml.load_all(text, Loader=yaml.CSafeLoader))


def of_kind(found: Iterable[Object], *kinds: str) -> list[Object]:
    """The objects of some kinds."""
    return [each for each in found if each["kind"] in kinds]


def pod_of(workload: Object) -> Object:
    """The pod that a Deployment or a Job makes."""
    return dict(workload["spec"]["template"])


def containers_of(pod: Object) -> list[Object]:
    """All containers, init containers included."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """True if a selector of labels matches `has`."""
    return selector.items() <= labels.items()
