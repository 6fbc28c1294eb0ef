"""Seeds new drop rules with history: the scores that an account closed earlier days with."""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.conditions import OK, DropRule, Rule, RuleMemory
from scoring.rules.policy import Policy
from scoring.rules.state_machine import close_day
from service.evaluation.changes import read_memory
from service.storage.accounts import history
from service.storage.accounts.history import ClosingScore
from service.storage.accounts.states import StoredAccount

Seeds = dict[str, dict[str, RuleMemory]]
"""Rule memories by account and rule."""

ClosingRun = tuple[int, float | None]
"""The last of some days that all closed with the same score, and that score."""


async def seed_drops(connection: AsyncConnection, stored: Sequence[StoredAccount], policy: Policy) -> Seeds:
    """Memories, made from history, for drop rules that accounts don't know yet because the rule is new."""
    unseeded = {account.account_id: rules for account in stored if (rules := _without_memory(account, policy.drops))}
    if not unseeded:
        return {}
    longest = max(rule.condition.days for rule in policy.drops if isinstance(rule.condition, DropRule))
    judged = {account.account_id: account for account in stored if account.account_id in unseeded}
    first = min(account.day for account in judged.values() if account.day is not None) - longest
    found = await history.closing_scores(connection, sorted(unseeded), first)
    by_account = {account_id: list(some) for account_id, some in groupby(found, lambda closing: closing.account_id)}
    return {
        account_id: _seeds(rules, _closings(judged[account_id], by_account.get(account_id, [])))
        for account_id, rules in unseeded.items()
    }


def _seeds(rules: Sequence[Rule], runs: Sequence[ClosingRun]) -> dict[str, RuleMemory]:
    return {rule.id: remembered(rule, runs) for rule in rules}


def _without_memory(account: StoredAccount, drops: Sequence[Rule]) -> list[Rule]:
    if account.day is None:
        return []
    memory = read_memory(account)
    return [rule for rule in drops if rule.id not in memory]


def _closings(account: StoredAccount, runs: Sequence[ClosingScore]) -> list[ClosingRun]:
    """The runs of an account that ended, and the finished days of the current one."""
    closed: list[ClosingRun] = [(run.day, run.score) for run in runs]
    if account.day is not None and account.since is not None and account.since < account.day:
        closed.append((account.day - 1, account.score))
    return closed


def remembered(rule: Rule, runs: Sequence[ClosingRun]) -> RuleMemory:
    """The memory that the rule would have if it had seen these runs of days, in order."""
    memory = OK
    for last, score in runs:
        # All days of a run closed with the same score, so the last one is enough.
        memory = close_day(rule.condition, memory, last, score)
    return memory
