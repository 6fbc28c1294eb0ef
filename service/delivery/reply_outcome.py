"""Interprets a reply for its target, with a reason in words where a status alone doesn't explain it."""

from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

from service.delivery.retry import GaveUp, RetryAt, RetryDecision, RetryPolicy, decide, is_success, postpone
from service.delivery.retry_after import requested_wait
from service.delivery.transport.http import Failure, Reply
from service.storage.webhooks.outbox import ClaimedDelivery
from service.targets import target_of
from service.targets.answer import AGAIN, LIMITED, TAKEN, AnswerVerdict, ReceiverAnswer, plain_verdict

LONGEST_REASON = 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def interpret(reply: Reply, target: str) -> tuple[Reply, AnswerVerdict]:
    """The verdict on a reply, and the reply with its reason in words; its failure is `refused` if it is a 2xx all
    the same.
    """
    if reply.status is None or reply.failure is not None:
        return reply, LIMITED if reply.limited else AGAIN
    verdict = _verdict(ReceiverAnswer(reply.status, reply.headers, reply.body), target, cut=reply.cut)
    failure: Failure | None = "refused" if verdict.kind != "taken" and is_success(reply.status) else None
    reason = verdict.reason or _redirect(reply)
    return replace(reply, failure=failure, error=reason[:LONGEST_REASON] if reason else reply.error), verdict


def _verdict(answer: ReceiverAnswer, target: str, *, cut: bool) -> AnswerVerdict:
    kind = target_of(target)
    if cut and is_success(answer.status):
        return TAKEN  # only its status could be read, and that says the message was taken
    if verdict := kind.verdict(answer):
        return verdict
    if not is_success(answer.status):
        return plain_verdict(answer)
    refusal = kind.refusal(answer.status, answer.body)
    return AnswerVerdict("again", refusal) if refusal else TAKEN


def _redirect(reply: Reply) -> str | None:
    if reply.status not in _REDIRECTS:
        return None
    place = reply.headers.get("location", "").strip()
    if not place:
        return "the answer is a redirect, and redirects are not followed"
    # Readers may paste it: nothing in it may be invisible.
    shown = "".join(character if character.isprintable() else "\ufffd" for character in place)
    return f"the answer is a redirect to {shown[:400]}, and redirects are not followed: give the endpoint that URL"


def decide_outcome(
    policy: RetryPolicy,
    delivery: ClaimedDelivery,
    reply: Reply,
    verdict: AnswerVerdict,
    now: datetime,
    randomness: float,
) -> RetryDecision:
    """The decision after an attempt that ended at `now` with a reply that means `verdict`."""
    if verdict.kind == "limited":
        asked = requested_wait(reply.headers, reply.body, now)
        began_at = delivery.began_at or delivery.created_at
        outcome: RetryAt | None = postpone(policy, began_at, delivery.attempt - delivery.tries, asked, now, randomness)
        if outcome is not None:
            return outcome
    if verdict.kind == "never":
        return GaveUp("refused")
    status = {"taken": HTTPStatus.OK, "gone": HTTPStatus.GONE}.get(verdict.kind)
    return decide(policy, delivery.tries, status, reply.retry_after, now, randomness)
