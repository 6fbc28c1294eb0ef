"""The chart's network policies, read as Kubernetes reads them: the connections that they allow."""

from typing import Any

from tests.support.chart import (
    EVERYTHING,
    MINIMAL,
    PROCESSES,
    SASL_TLS,
    SMALL,
    Object,
    Values,
    merged,
    objects,
    of_kind,
    pod_of,
    selects,
)

ANYBODY = "anybody"
Allowed = set[tuple[str, object]]


def allowed(values: Values, component: str, direction: str) -> Allowed:
    """(peer, port) of all rules for the pods of a component; fails if there are none, as nothing is denied then."""
    found = objects(values)
    [pod] = [pod_of(each) for each in of_kind(found, "Deployment", "Job") if _component(each) == component]
    policies = [
        policy["spec"]
        for policy in of_kind(found, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"]["matchLabels"], pod["metadata"]["labels"])
        and direction.capitalize() in policy["spec"]["policyTypes"]
    ]
    assert policies, f"nothing is denied to {component}"
    side = {"ingress": "from", "egress": "to"}[direction]
    return {
        (str(peer), port["port"])
        for policy in policies
        for rule in policy.get(direction, [])
        for peer in rule.get(side, [ANYBODY])
        for port in rule["ports"]
    }


def _component(workload: Object) -> str:
    return str(workload["metadata"]["labels"]["app.kubernetes.io/component"])


def ports(found: Allowed) -> set[Any]:
    return {port for _, port in found}


def test_the_api_is_asked_by_anybody_and_all_are_scraped_from_inside() -> None:
    inside = str({"namespaceSelector": {}})
    for component in PROCESSES:
        scraped = {(inside, "probes")}
        assert allowed(MINIMAL, component, "ingress") == scraped | (
            {(ANYBODY, "http")} if component == "api" else set()
        )
    assert allowed(MINIMAL, "migration", "ingress") == set()


def test_all_reach_kafka_postgres_and_names_and_only_delivery_the_world() -> None:
    for component in (*PROCESSES, "migration"):
        reached = ports(allowed(MINIMAL, component, "egress"))
        assert reached == {53, 9092, 5432} | ({80, 443} if component == "delivery" else set())


def test_webhooks_do_not_go_inside() -> None:
    peers = [peer for peer, port in allowed(MINIMAL, "delivery", "egress") if port == 443]
    assert len(peers) == 2
    [ipv4] = [peer for peer in peers if "0.0.0.0/0" in peer]
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"):
        assert network in ipv4


def test_ports_and_peers_are_those_that_are_given() -> None:
    assert ports(allowed(SASL_TLS, "consumer", "egress")) == {53, 9094, 5432}
    assert 4318 in ports(allowed(EVERYTHING, "consumer", "egress"))
    peer = {"podSelector": {"matchLabels": {"app": "gateway"}}}
    narrow = merged(MINIMAL, {"networkPolicy": {"api": {"from": [peer]}, "postgres": {"to": [peer], "ports": [6432]}}})
    assert (str(peer), "http") in allowed(narrow, "api", "ingress")
    assert (ANYBODY, "http") not in allowed(narrow, "api", "ingress")
    assert (str(peer), 6432) in allowed(narrow, "sweeper", "egress")
    assert not of_kind(objects(SMALL), "NetworkPolicy")
