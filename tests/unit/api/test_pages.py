"""Page tokens: they come back as the key they were made of, and nothing else passes for one."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from service.api.http.pagination import PageQuery, TokenNumber, TokenText, decode_token, encode_token
from service.api.http.problems import ProblemError

KEYS: list[tuple[Any, Any]] = [
    ((datetime(2030, 1, 31, 9, 0, 0, 123456, tzinfo=UTC), UUID(int=7)), tuple[datetime, UUID]),
    ((0.1 + 0.2, "a/b ü"), tuple[float | None, TokenText]),
    ((None, "acme"), tuple[float | None, TokenText]),
    (2**63 - 1, TokenNumber),
    (UUID(int=2**128 - 1), UUID),
]


@pytest.mark.parametrize(("key", "form"), KEYS)
def test_a_token_gives_back_its_key(key: Any, form: Any) -> None:
    token = encode_token(key)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert decode_token("page_token", token, form) == key


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(exclude_categories=["Cs"]), max_size=256)
)
def test_scores_and_ids_survive_exactly(score: float, account_id: str) -> None:
    key = (score, account_id.replace("\0", ""))
    assert decode_token("page_token", encode_token(key), tuple[float | None, TokenText]) == key


TOKENS = [
    ("", UUID),
    ("=", UUID),
    ("not base64!", UUID),
    ("ü", UUID),
    ("\udc80", UUID),
    (encode_token("no uuid"), UUID),
    (encode_token([1, 2]), tuple[float | None, TokenText]),
    (encode_token([1.0, "a\0b"]), tuple[float | None, TokenText]),
    (encode_token([1.0, "a" * 1025]), tuple[float | None, TokenText]),
    (encode_token(["2030-01-01T00:00:00", str(UUID(int=0))]), tuple[Annotated[datetime, Meta(tz=True)], UUID]),
    (encode_token(-1), TokenNumber),
    (encode_token(2**63), TokenNumber),
    ("W" * 100_000, TokenNumber),
]


@pytest.mark.parametrize(("token", "form"), TOKENS, ids=range(len(TOKENS)))
def test_other_tokens_are_refused_by_name(token: str, form: Any) -> None:
    with pytest.raises(ProblemError) as refused:
        decode_token("after", token, form)
    assert refused.value.status_code == 422
    assert [error.field for error in refused.value.errors] == ["after"]


@given(st.text())
def test_no_text_breaks_the_reading(token: str) -> None:
    with suppress(ProblemError):
        assert decode_token("page_token", token, TokenNumber) >= 0


@pytest.mark.parametrize(("rows", "items", "follows"), [(0, 0, False), (2, 2, False), (3, 2, True)])
def test_a_page_is_followed_by_another_only_if_there_is_more(rows: int, items: int, follows: bool) -> None:
    query = PageQuery(page_size=2)
    assert query.limit == 3
    page, token = query.cut(list(range(rows)), lambda row: row)
    assert len(page) == items
    assert (token is not None) == follows
    if token:
        assert PageQuery(page_token=token).start(int) == items - 1


def test_the_first_page_starts_nowhere() -> None:
    assert PageQuery().start(int) is None
