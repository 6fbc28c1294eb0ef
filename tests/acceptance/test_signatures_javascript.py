"""Signatures are accepted by the libraries that receivers in JavaScript use, and refused on messages tampered with."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.transport import signing_keys
from service.delivery.transport.signing_keys import SigningSecret
from service.runtime.vault import Vault, new_webhook_secret
from tests.support import javascript
from tests.support.javascript import Asked, verified
from tests.support.webhooks import add_alert, add_endpoint, local_settings, receiver, until, working

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(javascript.what_is_missing() is not None, reason=str(javascript.what_is_missing())),
]
LIBRARIES = {"standardwebhooks", "svix"}


async def test_either_secret_verifies_while_one_rotates_and_nothing_else_does(engine: AsyncEngine) -> None:
    old, fresh, now = new_webhook_secret(), new_webhook_secret(), datetime.now(UTC)
    ring = signing_keys.rotate((SigningSecret(old),), fresh, now, now + timedelta(hours=24))
    sealed = Vault(local_settings().encryption_key).seal(signing_keys.dump(ring))
    async with receiver() as crm:
        await add_endpoint(engine, crm.url, secret=sealed)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()):
            await until(lambda: crm.bodies)
    [headers], [body] = crm.headers, crm.bodies
    assert "Sørensen 株式会社".encode() in body
    older = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}
    answers = verified(
        [
            Asked(fresh, headers, body),
            Asked(old, headers, body),
            Asked(new_webhook_secret(), headers, body),
            Asked(fresh, headers, body.replace(b"red", b"rad")),
            Asked(fresh, {**headers, "webhook-id": "another"}, body),
            Asked(fresh, older, body),
        ]
    )
    for answer in answers[:2]:
        assert answer.keys() == LIBRARIES
        assert {payload["data"]["account_name"] for payload in answer.values()} == {"Sørensen 株式会社"}
    for answer in answers[2:]:
        assert answer == dict.fromkeys(LIBRARIES)
