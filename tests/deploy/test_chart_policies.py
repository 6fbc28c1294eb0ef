"""The rights of pods, and the relations that hold between the chart's objects for all values."""

from collections.abc import Iterator

import pytest

from tests.support.chart import (
    EVERYTHING,
    MINIMAL,
    OWN_SECRETS,
    PROCESSES,
    SASL_TLS,
    VALUE_SETS,
    Object,
    Values,
    containers_of,
    merged,
    objects,
    of_kind,
    pod_of,
    selects,
)
from tests.support.commands_known import SETTINGS, is_command

every_set = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
SECRET = {f"HEALTH_{name}" for name in ("DATABASE_URL", "ENCRYPTION_KEY", "KAFKA_SASL_PASSWORD", "READER_PASSWORD")}
DRAIN_SECONDS = 20 + 5  # service.process.GRACE_SECONDS, and the pause before SIGTERM


def pods(values: Values) -> Iterator[Object]:
    """The pods of all Deployments and Jobs."""
    yield from map(pod_of, of_kind(objects(values), "Deployment", "Job"))


def deployments(values: Values) -> dict[str, Object]:
    found = of_kind(objects(values), "Deployment")
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in found}


def variables(container: Object) -> dict[str, object]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


@every_set
def test_pods_may_do_nothing_that_they_need_not(values: Values) -> None:
    for pod in pods(values):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 10_000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not any("hostPath" in volume for volume in spec["volumes"])
        for container in containers_of(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "command" not in container  # the image's entry point: a signal reaches the process itself


@every_set
def test_resources_are_said(values: Values) -> None:
    for pod in pods(values):
        for container in containers_of(pod):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
        [scratch] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "tmp"]
        assert "sizeLimit" in scratch["emptyDir"]


@every_set
def test_processes_are_probed_on_ports_that_they_have_and_get_time_to_end(values: Values) -> None:
    assert deployments(values).keys() == PROCESSES.keys()
    for deployment in deployments(values).values():
        pod = pod_of(deployment)
        assert pod["spec"]["terminationGracePeriodSeconds"] > DRAIN_SECONDS
        [container] = containers_of(pod)
        ports = {port["name"] for port in container["ports"]}
        probed = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        assert {probe["port"] for probe in probed.values()} <= ports
        assert {name: probe["path"] for name, probe in probed.items()} == {
            "startup": "/livez",
            "liveness": "/livez",
            "readiness": "/readyz",
        }


@every_set
def test_commands_and_settings_are_real_ones(values: Values) -> None:
    for pod in pods(values):
        for container in containers_of(pod):
            assert is_command(container["args"]), container["args"]
            names = variables(container).keys()
            assert len(names) == len(container["env"])
            assert {name for name in names if not name.startswith("OTEL_")} <= SETTINGS
    for component, deployment in deployments(values).items():
        assert containers_of(pod_of(deployment))[0]["args"] == [PROCESSES[component]]


@every_set
def test_what_disrupts_leaves_one_where_there_are_two(values: Values) -> None:
    found = objects(values)
    budgets = [each["spec"] for each in of_kind(found, "PodDisruptionBudget")]
    least = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"].get("minReplicas", each["spec"].get("minReplicaCount"))
        for each in of_kind(found, "HorizontalPodAutoscaler", "ScaledObject")
    }
    for deployment in deployments(values).values():
        name, labels = deployment["metadata"]["name"], pod_of(deployment)["metadata"]["labels"]
        assert ("replicas" in deployment["spec"]) != (name in least)  # else two would decide
        fewest = least.get(name) or deployment["spec"]["replicas"]
        covering = [budget for budget in budgets if selects(budget["selector"]["matchLabels"], labels)]
        assert len(covering) == (1 if fewest > 1 else 0)
        assert all(budget["maxUnavailable"] == 1 for budget in covering)


@every_set
def test_selectors_take_in_what_they_are_for_and_nothing_else(values: Values) -> None:
    found = objects(values)
    labels = {
        pod["metadata"]["labels"].get("app.kubernetes.io/component", "migration"): pod["metadata"]["labels"]
        for pod in pods(values)
    }

    def selected(selector: dict[str, str]) -> set[str]:
        return {name for name, given in labels.items() if selects(selector, given)}

    for component, deployment in deployments(values).items():
        assert selected(deployment["spec"]["selector"]["matchLabels"]) == {component}
        [spread] = pod_of(deployment)["spec"]["topologySpreadConstraints"]
        assert selected(spread["labelSelector"]["matchLabels"]) == {component}
    served = {each["metadata"]["name"]: selected(each["spec"]["selector"]) for each in of_kind(found, "Service")}
    assert sorted(served.values(), key=len) == [{"api"}, PROCESSES.keys()]
    for service in of_kind(found, "Service"):
        for port in service["spec"]["ports"]:
            for component in served[service["metadata"]["name"]]:
                [container] = containers_of(pod_of(deployments(values)[component]))
                assert port["targetPort"] in {each["name"] for each in container["ports"]}
    for monitor in of_kind(found, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        [watched] = [each for each in of_kind(found, "Service") if selects(selector, each["metadata"]["labels"])]
        assert {each["port"] for each in monitor["spec"]["endpoints"]} == {
            each["name"] for each in watched["spec"]["ports"]
        }
        assert watched["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "account-health"  # as the rules expect
    for ingress in of_kind(found, "Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert served[backend["name"]] == {"api"}


@every_set
def test_secrets_are_referred_to_never_written_out(values: Values) -> None:
    made = {each["metadata"]["name"]: each["stringData"].keys() for each in of_kind(objects(values), "Secret")}
    theirs = values["secrets"]["existingSecret"]
    for pod in pods(values):
        for container in containers_of(pod):
            for name, value in variables(container).items():
                if name in SECRET:
                    assert isinstance(value, dict), name
                    reference = value["secretKeyRef"]
                    assert reference["key"] == name
                    assert reference["name"] == theirs or name in made[reference["name"]]


def test_only_those_that_open_secrets_have_the_key_to_them() -> None:
    for component, deployment in deployments(MINIMAL).items():
        [container] = containers_of(pod_of(deployment))
        assert ("HEALTH_ENCRYPTION_KEY" in variables(container)) == (component in {"api", "delivery"})


def test_the_migration_brings_what_it_needs_and_takes_it_away() -> None:
    hooks = [each for each in objects(OWN_SECRETS) if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    weights = {each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in hooks}
    assert weights.keys() == {"Job", "Secret", "NetworkPolicy"}
    assert max(weights["Secret"], weights["NetworkPolicy"]) < weights["Job"]
    for hook in hooks:
        annotations = hook["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    [job] = of_kind(hooks, "Job")
    pod = pod_of(job)
    assert [container["args"] for container in containers_of(pod)] == [
        ["migrate"],
        ["reader", "create"],
        ["topics", "create"],
    ]
    assert pod["spec"].get("serviceAccountName", "default") == "default"  # the chart's isn't there yet
    [secret] = of_kind(hooks, "Secret")
    for container in containers_of(pod):
        references = [value for value in variables(container).values() if isinstance(value, dict)]
        assert {value["secretKeyRef"]["name"] for value in references} == {secret["metadata"]["name"]}


def test_pods_are_replaced_when_their_configuration_changes() -> None:
    def templates(*changes: Values) -> list[Object]:
        return [pod_of(each) for each in deployments(merged(OWN_SECRETS, *changes)).values()]

    changes: list[Values] = [
        {"secrets": {"encryptionKey": "another one, longer than sixteen"}},
        {"settings": {"HEALTH_RETENTION_DAYS": 100}},
        {"kafka": {"group": "another"}},
    ]
    for change in changes:
        assert all(old != new for old, new in zip(templates(), templates(change), strict=True)), change


def test_consumers_follow_the_lag_up_to_one_a_partition() -> None:
    [scaled] = of_kind(objects(merged(MINIMAL, {"consumer": {"autoscaling": {"enabled": True}}})), "ScaledObject")
    spec = scaled["spec"]
    assert spec["scaleTargetRef"] == {"name": deployments(MINIMAL)["consumer"]["metadata"]["name"]}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 12)
    assert 1 <= spec["fallback"]["replicas"] <= 12
    [trigger] = spec["triggers"]
    environment = variables(containers_of(pod_of(deployments(MINIMAL)["consumer"]))[0])
    assert trigger["type"] == "kafka"
    assert trigger["metadata"]["bootstrapServers"] == environment["HEALTH_KAFKA_BOOTSTRAP_SERVERS"]
    assert trigger["metadata"]["consumerGroup"] == environment["HEALTH_KAFKA_GROUP"]
    assert not {"sasl", "tls"} & trigger["metadata"].keys()
    assert "authenticationRef" not in trigger


def test_keda_proves_itself_to_kafka_as_consumers_do() -> None:
    found = objects(SASL_TLS)
    [scaled], [proof] = of_kind(found, "ScaledObject"), of_kind(found, "TriggerAuthentication")
    [trigger] = scaled["spec"]["triggers"]
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha256", "enable")
    assert trigger["authenticationRef"] == {"name": proof["metadata"]["name"]}
    [container] = containers_of(pod_of(deployments(SASL_TLS)["consumer"]))
    environment = variables(container)
    [username] = proof["spec"]["env"]
    assert (username["parameter"], environment[username["name"]]) == ("username", "health")
    assert username["containerName"] == container["name"]
    given = {each["parameter"]: (each["name"], each["key"]) for each in proof["spec"]["secretTargetRef"]}
    assert given == {
        "password": ("mine", "HEALTH_KAFKA_SASL_PASSWORD"),
        "ca": ("kafka-tls", "ca.crt"),
        "cert": ("kafka-tls", "tls.crt"),
        "key": ("kafka-tls", "tls.key"),
    }


def test_certificates_are_where_the_settings_say() -> None:
    for deployment in deployments(SASL_TLS).values():
        pod = pod_of(deployment)
        [container] = containers_of(pod)
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "kafka-tls"]
        [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "kafka-tls"]
        there = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
        environment = variables(container)
        assert {environment[f"HEALTH_KAFKA_SSL_{name}_FILE"] for name in ("CA", "CERT", "KEY")} == there


def test_links_in_alerts_lead_to_the_ingress_unless_said_otherwise() -> None:
    def url(*changes: Values) -> object:
        return variables(containers_of(pod_of(deployments(merged(MINIMAL, *changes))["api"]))[0]).get(
            "HEALTH_PUBLIC_URL"
        )

    ingress: Values = {"api": {"ingress": {"enabled": True, "host": "health.example.com"}}}
    assert url() is None
    assert url(ingress) == "http://health.example.com"
    assert url(ingress, {"api": {"ingress": {"tlsSecret": "tls"}}}) == "https://health.example.com"
    assert url(ingress, {"publicUrl": "https://elsewhere.example.com"}) == "https://elsewhere.example.com"


def test_labels_and_places_that_are_given_reach_every_process() -> None:
    for deployment in deployments(EVERYTHING).values():
        pod = pod_of(deployment)
        assert pod["metadata"]["labels"]["team"] == "success"
        assert pod["metadata"]["annotations"]["note"] == "yes"
        assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
        assert pod["spec"]["priorityClassName"] == "high"
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["spec"]["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"
        assert containers_of(pod)[0]["image"] == f"account-health@sha256:{'a' * 64}"
