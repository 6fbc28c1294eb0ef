"""The account filters that lists share."""

from datetime import date
from typing import Annotated

from pydantic import Field

from scoring.scorecards.scorecard import Band
from service.api.http.account_paths import Printable
from service.api.http.pagination import PageQuery
from service.storage.accounts.account_filter import AccountFilter

Words = list[Annotated[str, Field(max_length=200), Printable()]]


class AccountFilters(PageQuery):
    """Filters by account. A filter may be repeated; one of its values has to match, and none of those that are
    excluded.
    """

    band: list[Band] | None = None
    segment: Words | None = None
    stage: Words | None = None
    owner: Words | None = None
    exclude_segments: Words | None = Field(None, description="Accounts of none of these; may be repeated.")
    exclude_stages: Words | None = None
    exclude_owners: Words | None = None

    def of_accounts(self, today: date, *, churned: bool | None) -> AccountFilter:
        """The filter for storage; `churned` selects accounts that have left by `today`, or the others."""
        return AccountFilter(
            bands=self.band,
            segments=self.segment,
            stages=self.stage,
            owners=self.owner,
            exclude_segments=self.exclude_segments,
            exclude_stages=self.exclude_stages,
            exclude_owners=self.exclude_owners,
            churned=churned,
            today=today,
        )
