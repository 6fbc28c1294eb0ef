"""The vault: sealed bytes open with the keys they were sealed with, and with no others."""

import base64

import pytest
from pydantic import SecretStr

from service.runtime.errors import HealthError
from service.runtime.vault import Vault, new_webhook_secret

OLD, NEW = "an old key of some length", "a new key of some length"


def vault(*keys: str) -> Vault:
    return Vault(SecretStr(" , ".join(keys)))


def test_what_is_sealed_opens_and_is_not_readable() -> None:
    sealed = vault(OLD).seal(b"whsec_abc")
    assert vault(OLD).open(sealed) == b"whsec_abc"
    assert b"whsec_abc" not in sealed
    assert vault(OLD).seal(b"whsec_abc") != sealed


def test_the_first_key_seals_and_all_open() -> None:
    sealed = vault(OLD).seal(b"x")
    both = vault(NEW, OLD)
    assert both.open(sealed) == b"x"
    assert vault(NEW).open(both.seal(b"x")) == b"x"


def test_a_resealed_secret_opens_with_the_first_key_alone() -> None:
    both, sealed = vault(NEW, OLD), vault(OLD).seal(b"x")
    assert not both.is_current(sealed)
    fresh = both.reseal(sealed)
    assert both.is_current(fresh)
    assert vault(NEW).open(fresh) == b"x"
    with pytest.raises(HealthError):
        vault(NEW).reseal(sealed)


def test_another_key_does_not_open_it_and_the_error_says_what_to_do() -> None:
    with pytest.raises(HealthError, match="HEALTH_ENCRYPTION_KEY") as caught:
        vault(NEW).open(vault(OLD).seal(b"x"))
    assert caught.value.remedy


def test_tampered_bytes_do_not_open() -> None:
    sealed = bytearray(vault(OLD).seal(b"x"))
    sealed[-5] ^= 1
    with pytest.raises(HealthError):
        vault(OLD).open(bytes(sealed))


@pytest.mark.parametrize("keys", [None, SecretStr(""), SecretStr(" , ")])
def test_without_a_key_any_use_says_how_to_make_one(keys: SecretStr | None) -> None:
    with pytest.raises(HealthError, match=r"HEALTH_ENCRYPTION_KEY is not set.*token_urlsafe"):
        Vault(keys).seal(b"x")


def test_a_short_key_is_refused_at_once_and_not_repeated() -> None:
    with pytest.raises(HealthError, match="shorter than 16") as caught:
        vault(NEW, "hunter2")
    assert "hunter2" not in str(caught.value)


def test_webhook_secrets_are_random_and_in_the_standard_form() -> None:
    secrets = {new_webhook_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 24 for secret in secrets)
