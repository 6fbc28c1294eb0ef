"""The limits of a claim, as rate limits narrow them."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from service.storage.webhooks.outbox import SendingLimits

ENDPOINTS = [uuid4() for _ in range(4)]
ROOMS = st.dictionaries(st.sampled_from(ENDPOINTS), st.integers(0, 9))


@given(ROOMS, st.integers(0, 9), ROOMS)
def test_rate_limits_only_ever_narrow(room: dict[UUID, int], default: int, allowed: dict[UUID, int]) -> None:
    limits = SendingLimits(room=room, default_room=default, include_rate_limited=False, without=ENDPOINTS)
    narrowed = limits.narrowed(allowed)
    for endpoint in ENDPOINTS:
        before = room.get(endpoint, default)
        assert narrowed.room.get(endpoint, default) == min(before, allowed.get(endpoint, before))
    assert (narrowed.default_room, narrowed.include_rate_limited, narrowed.without) == (default, False, ENDPOINTS)
