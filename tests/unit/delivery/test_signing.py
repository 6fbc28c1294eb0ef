"""Signatures are checked with the reference library, which shares no code with ours."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from service.delivery.transport import signing_keys
from service.delivery.transport.signing import sign
from service.runtime.vault import new_webhook_secret

SECRET = new_webhook_secret()
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def _now() -> datetime:
    """The receiver's library compares with its clock: messages are signed in the test, not at import."""
    return datetime.now(UTC)


BODY = '{"type":"health.band.changed","data":{"account_name":"Søren & Ökonomie 株式会社 🚀"}}'.encode()


def verify(secret: str, headers: dict[str, str], body: bytes = BODY) -> None:
    Webhook(secret).verify(body, headers)


def test_a_receiver_verifies_what_we_sign() -> None:
    secret = new_webhook_secret()
    verify(secret, sign([secret], "msg_1", _now(), BODY))


def test_the_specifications_own_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = sign(
        [secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    "forge",
    [
        lambda headers: verify(SECRET, headers, BODY.replace(b"band", b"bend")),
        lambda headers: verify(SECRET, {**headers, "webhook-id": "msg_2"}),
        lambda headers: verify(SECRET, {**headers, "webhook-timestamp": str(int(_now().timestamp()) + 1)}),
        lambda headers: verify(new_webhook_secret(), headers),
    ],
    ids=["body", "id", "timestamp", "secret"],
)
def test_whatever_was_tampered_with_is_refused(forge: Callable[[dict[str, str]], None]) -> None:
    headers = sign([SECRET], "msg_1", _now(), BODY)
    with pytest.raises(WebhookVerificationError):
        forge(headers)


def test_while_a_secret_rotates_old_and_new_both_verify() -> None:
    old, new = new_webhook_secret(), new_webhook_secret()
    headers = sign([new, old], "msg_1", _now(), BODY)
    verify(old, headers)
    verify(new, headers)
    assert len(headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("secrets", [[], ["whsec_"], ["whsec_not base64!"], ["whsec_ü"]])
def test_without_a_usable_secret_nothing_is_signed_and_nothing_is_revealed(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^(nothing to sign with|a webhook secret is not whsec_ and base64)$"):
        sign(secrets, "msg_1", _now(), BODY)


def test_a_rotated_secret_signs_until_its_time_and_no_longer() -> None:
    until = NOON + timedelta(hours=24)
    ring = signing_keys.rotate(signing_keys.load(b"whsec_b2xk"), "whsec_bmV3", NOON, until)
    ring = signing_keys.load(signing_keys.dump(ring))
    assert signing_keys.active_secrets(ring, until - timedelta(seconds=1)) == ["whsec_bmV3", "whsec_b2xk"]
    assert signing_keys.active_secrets(ring, until) == ["whsec_bmV3"]
    assert "whsec_" not in repr(ring)


def test_rotating_again_neither_prolongs_a_secret_nor_keeps_a_dead_one() -> None:
    ring = signing_keys.rotate(signing_keys.load(b"whsec_MQ=="), "whsec_Mg==", NOON, NOON + timedelta(hours=1))
    soon = signing_keys.rotate(ring, "whsec_Mw==", NOON, NOON + timedelta(hours=24))
    assert [secret.until for secret in soon] == [None, NOON + timedelta(hours=24), NOON + timedelta(hours=1)]
    later = signing_keys.rotate(ring, "whsec_Mw==", NOON + timedelta(hours=2), NOON + timedelta(hours=24))
    assert [secret.text for secret in later] == ["whsec_Mw==", "whsec_Mg=="]
