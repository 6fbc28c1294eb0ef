"""Who may send now: so many attempts at a time in all, and only some of them to one endpoint."""

from collections import Counter
from uuid import UUID

SHARE = 8  # an endpoint holds at most an eighth of all slots
UNPROVEN = 1  # slots of an endpoint that hasn't answered quickly yet, or not the last time


class Slots:
    """Counts attempts under way, so that endpoints that hang do not hold every slot.

    An endpoint begins with one slot, has an eighth of them once it answers quickly, and is back to one when it is
    slow. So endpoints that hang take a slot each, and it needs as many of them as there are slots to stop the others.
    """

    def __init__(self, total: int) -> None:
        """`total` slots; with a single one there is no fairness to be had."""
        self.free = total
        self._share = max(UNPROVEN, total // SHARE)
        self._under_way: Counter[UUID] = Counter()
        self._quick: set[UUID] = set()

    def room(self) -> dict[UUID, int]:
        """How many attempts may begin now at each endpoint; at one that is absent, `UNPROVEN`."""
        return {endpoint: self._room(endpoint) for endpoint in self._quick | self._under_way.keys()}

    def take(self, endpoint: UUID) -> None:
        """An attempt begins."""
        self.free -= 1
        self._under_way[endpoint] += 1

    def give_back(self, endpoint: UUID, *, quick: bool) -> None:
        """An attempt has ended."""
        self.free += 1
        self._under_way[endpoint] -= 1
        if not self._under_way[endpoint]:
            del self._under_way[endpoint]
        (self._quick.add if quick else self._quick.discard)(endpoint)

    def _room(self, endpoint: UUID) -> int:
        most = self._share if endpoint in self._quick else UNPROVEN
        return max(0, most - self._under_way[endpoint])
