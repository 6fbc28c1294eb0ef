"""Values that are wrong are refused before anything is installed, in words that name them."""

import json
import re
from importlib.metadata import version

import pytest
from helm_python import HelmRenderError, HelmValuesError

from tests.support.chart import CHART, MINIMAL, SASL_TLS, Values, chart, merged, objects
from tests.support.commands_known import SETTINGS

OF_THE_IMAGE = {"HEALTH_HTTP_HOST", "HEALTH_HTTP_PORT", "HEALTH_PROBES_HOST", "HEALTH_PROBES_PORT"}
SASL: Values = {"kafka": {"securityProtocol": "SASL_SSL", "sasl": {"username": "health"}}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kafka": {"securityProtocol": "TLS"}}, "at '/kafka/securityProtocol': value must be one of 'PLAINTEXT'"),
        ({"kafka": {"bootstrapServers": "kafka"}}, "at '/kafka/bootstrapServers'"),
        ({"kafka": {"sasl": {"mechanism": "GSSAPI"}}}, "at '/kafka/sasl/mechanism'"),
        ({"kafka": {"topics": {"usages": "x"}}}, "at '/kafka/topics': additional properties 'usages' not allowed"),
        ({"secrets": {"encryptionKey": "too short"}}, "at '/secrets/encryptionKey'"),
        ({"secrets": {"databaseUrl": "mysql://x"}}, "at '/secrets/databaseUrl'"),
        ({"api": {"replica": 3}}, "at '/api': additional properties 'replica' not allowed"),
        ({"consumer": {"replicas": "two"}}, "at '/consumer/replicas': got string, want integer"),
        ({"consumer": {"autoscaling": {"minReplicas": 0}}}, "at '/consumer/autoscaling/minReplicas'"),
        ({"api": {"resources": {"limits": {"memory": None}}}}, "at '/api/resources/limits'"),
        ({"settings": {"RETENTION_DAYS": 3}}, "invalid propertyName 'RETENTION_DAYS'"),
        ({"settings": {"HEALTH_KAFKA_GROUP": "x"}}, "invalid propertyName 'HEALTH_KAFKA_GROUP'"),
        ({"settings": {"HEALTH_RETENTION_DAY": 3}}, "invalid propertyName 'HEALTH_RETENTION_DAY'"),
        ({"secrets": {"readerPassword": "too short"}}, "at '/secrets/readerPassword'"),
        ({"secrets": {"readerPassword": "long enough, but with é"}}, "at '/secrets/readerPassword'"),
        ({"image": {"digest": "sha256:beef"}}, "at '/image/digest'"),
        ({"networkPolicy": {"api": {"from": [{"pods": {}}]}}}, "at '/networkPolicy/api/from/0'"),
    ],
)
def test_a_value_that_cannot_be_is_named(values: Values, said: str) -> None:
    with pytest.raises(HelmValuesError) as refusal:
        objects(
            merged(MINIMAL, {"api": {"resources": {"limits": {"memory": None}}}} if "limits" in said else {}, values)
        )
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kafka": {"bootstrapServers": ""}}, "kafka.bootstrapServers is missing: set it to host:port"),
        ({"secrets": {"existingSecret": ""}}, "secrets.existingSecret is missing: name a Secret with"),
        ({"secrets": {"readerPassword": "sixteen or more characters"}}, "secrets.existingSecret is set, so no other"),
        ({"secrets": {"databaseUrl": "postgresql://a/b"}}, "secrets.existingSecret is set, so no other"),
        ({"kafka": {"securityProtocol": "SASL_SSL"}}, "kafka.sasl.username is missing"),
        ({"consumer": {"replicas": 13}}, "consumer.replicas is 13, and kafka.partitions 12"),
        (
            {"consumer": {"autoscaling": {"enabled": True, "maxReplicas": 13}}},
            "consumer.autoscaling.maxReplicas is 13, and kafka.partitions 12",
        ),
        ({"consumer": {"autoscaling": {"enabled": True, "minReplicas": 13}}}, "minReplicas is above maxReplicas"),
        ({"api": {"autoscaling": {"enabled": True, "minReplicas": 7}}}, "minReplicas is above maxReplicas"),
        ({"kafka": {"tls": {"existingSecret": "x"}}}, "set kafka.securityProtocol to SSL or SASL_SSL, not PLAINTEXT"),
        (
            {
                "secrets": {"existingSecret": "", "databaseUrl": "postgresql://a/b", "encryptionKey": "x" * 16},
                "analytics": {"reader": True},
            },
            "secrets.readerPassword is missing",
        ),
        ({"api": {"ingress": {"enabled": True}}}, "api.ingress.host is missing"),
        ({"tracing": {"enabled": True}}, "tracing.endpoint is missing"),
    ],
)
def test_values_that_do_not_go_together_are_named(values: Values, said: str) -> None:
    with pytest.raises(HelmRenderError) as refusal:
        objects(merged(MINIMAL, values))
    assert said in str(refusal.value)


def test_half_a_certificate_and_a_password_that_is_missing_are_named() -> None:
    with pytest.raises(HelmRenderError, match=r"kafka.tls.certKey and kafka.tls.keyKey belong together"):
        objects(merged(SASL_TLS, {"kafka": {"tls": {"keyKey": ""}}}))
    secrets = {"existingSecret": "", "databaseUrl": "postgresql://a/b", "encryptionKey": "sixteen characters"}
    with pytest.raises(HelmRenderError, match=r"secrets.kafkaSaslPassword is missing"):
        objects(merged(MINIMAL, SASL, {"secrets": secrets}))


def test_any_setting_can_be_given_that_there_is_and_that_has_no_value_of_its_own() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    accepted = schema["properties"]["settings"]["propertyNames"]["enum"]
    assert len(accepted) == len(set(accepted))
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    own = {name for name in SETTINGS if re.search(rf"\b{name}\b", templates) or name.startswith("HEALTH_TOPIC_")}
    assert set(accepted) == SETTINGS - own - OF_THE_IMAGE


def test_without_values_the_first_thing_that_is_missing_is_named() -> None:
    with pytest.raises(HelmRenderError, match=r"is missing: set it to host:port of your brokers"):
        objects({})


def test_the_notes_say_what_to_do_next() -> None:
    def notes(*changes: Values) -> str:
        texts = chart().render(merged(MINIMAL, *changes), name="demo", namespace="health")
        return texts["account-health/templates/NOTES.txt"]

    assert "exec deployment/demo-account-health-api -- account-health api-key create me --scope admin" in notes()
    assert "publicUrl isn't set" in notes()
    assert notes().startswith(f"account-health {version('account-health')} is on its way")
    assert notes({"image": {"digest": f"sha256:{'a' * 64}"}}).startswith(
        f"account-health sha256:{'a' * 64} is on its way"
    )
    ingress: Values = {"api": {"ingress": {"enabled": True, "host": "h.example.com", "tlsSecret": "tls"}}}
    assert "The API answers at https://h.example.com" in notes(ingress)
    assert "publicUrl isn't set" not in notes(ingress)
