"""Messages about replayed history to the user of a load."""

from collections.abc import Iterator

from scoring.state.calendar import from_day
from service.jobs.history.writer import Written


def result(written: Written | None, replayed_before: int, seconds: float) -> Iterator[str]:
    """The result of a replay; `written` is None if no account needed one."""
    if written is not None and written.first_day is not None:
        yield (
            f"History: the past of {_accounts(written.accounts)} from {from_day(written.first_day)} on is written,"
            f" {written.rows:,} runs of days, in {seconds:,.1f} s."
        )
    elif not replayed_before:
        yield "History: no account has events of days before it was live, so there is no past to write."
    if written is not None and written.gone:
        yield f"  {_accounts(written.gone)} were erased meanwhile, and are left out."
    if written is not None and written.longer:
        yield (f"  {_accounts(written.longer)} keep the past that they have, as it begins earlier than these events.")
    if replayed_before:
        yield (
            f"History: the past of {_accounts(replayed_before)} was replayed before, and stays as it is."
            " To replay it again, add --history."
        )


def _accounts(number: int) -> str:
    return f"{number:,} account{'' if number == 1 else 's'}"
