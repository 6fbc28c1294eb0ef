"""API keys: their form, and which scope includes which."""

import base64

import pytest

from service.runtime.api_key import SCOPES, allows, digest_of, new_key


def test_a_key_holds_32_random_bytes_and_hints_at_little() -> None:
    keys = [new_key() for _ in range(100)]
    assert len({key.text for key in keys}) == 100
    for key in keys:
        assert len(base64.urlsafe_b64decode(key.text.removeprefix("hk_") + "=")) == 32
        assert key.text.startswith(key.hint)
        assert len(key.hint) <= 8
        assert key.digest == digest_of(key.text)
        assert key.text not in repr(key)


@pytest.mark.parametrize("text", ["", "hk_", "ü", "\udc80"])
def test_any_text_has_a_digest(text: str) -> None:
    assert len(digest_of(text)) == 32


def test_each_scope_includes_those_before_it() -> None:
    allowed = {(granted, wanted) for granted in SCOPES for wanted in SCOPES if allows([granted], wanted)}
    assert allowed == {
        ("read", "read"),
        ("write", "read"),
        ("write", "write"),
        ("admin", "read"),
        ("admin", "write"),
        ("admin", "admin"),
    }
    assert not allows([], "read")
