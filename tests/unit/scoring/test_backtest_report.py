"""Reports of back-tests: examples worked by hand, and no claim that the intervals don't bear out."""

from math import isnan, nan

import pytest

from scoring.backtest.discrimination import Interval
from scoring.backtest.outcomes import Decision, Outcome
from scoring.backtest.report import COUNT, Judged, ScoreReport, score_reports, verdict
from scoring.backtest.rule_report import AccountEpisodes, Episode, OwnerAlerts, RuleTally
from scoring.state.calendar import to_day_text

MAY, JUNE = to_day_text("2024-05-20"), to_day_text("2024-06-20")


def decision(account: str, day: int = MAY, *, churned: bool = False) -> Decision:
    return Decision(account, day - 3, Outcome(account, day, churned))


LEFT, LEFT_IN_JUNE = decision("a", churned=True), decision("b", JUNE, churned=True)
STAYED, STAYED_IN_JUNE, STAYED_TOO = decision("c"), decision("d", JUNE), decision("e")
DECISIONS = (LEFT, LEFT_IN_JUNE, STAYED, STAYED_IN_JUNE, STAYED_TOO)
SCORES = (10.0, 60.0, 80.0, 50.0, None)
BANDS = ("red", "yellow", "green", "yellow", "unknown")


def reports() -> dict[str, ScoreReport]:
    card = [Judged(*each) for each in zip(DECISIONS, SCORES, BANDS, strict=True)]
    counts = [Judged(each, count) for each, count in zip(DECISIONS, (5.0, 5.0, 5.0, 9.0, 0.0), strict=True)]
    return {report.name: report for report in score_reports({"card": card}, counts)}


def test_a_score_ranks_pairs_of_those_who_left_and_stayed() -> None:
    # Of the pairs a-c, a-d, b-c, b-d, the card has b-d the wrong way round.
    assert reports()["card"].auc.estimate == 0.75
    # The count: a-c and b-c are ties, a-d and b-d right, and each pair with e wrong: (0.5 + 0.5 + 1 + 1) / 6.
    assert reports()[COUNT].auc.estimate == 0.5


def test_the_difference_is_of_the_decisions_that_have_a_score() -> None:
    # Without e the count has (0.5 + 0.5 + 1 + 1) / 4 = 0.75, as the card has.
    difference = reports()["card"].difference
    assert difference is not None
    assert difference.estimate == 0
    assert reports()[COUNT].difference is None


def test_decisions_without_a_score_are_counted_apart() -> None:
    card = reports()["card"]
    assert (card.known.decisions, card.known.churned) == (4, 2)
    assert (card.unknown.decisions, card.unknown.churned) == (1, 0)
    assert sum(band.decisions for band in card.bands.values()) == sum(each.found.decisions for each in card.tenths) == 4


def test_months_are_those_of_the_outcomes() -> None:
    months = {each.month: each for each in reports()["card"].months}
    assert (months["2024-05"].decisions, months["2024-05"].churned, months["2024-05"].auc) == (2, 1, 1)
    assert months["2024-06"].auc == 0


def test_bands_have_their_churn() -> None:
    card = reports()["card"]
    found = {band: (each.decisions, each.churned) for band, each in card.bands.items()}
    assert found == {"green": (1, 0), "yellow": (2, 1), "red": (1, 1)}
    assert card.bands["yellow"].share.estimate == 0.5
    assert reports()[COUNT].bands == {}


def test_tenths_never_part_equal_scores() -> None:
    judged = [Judged(decision(f"{nth}", churned=nth < 5), float(nth // 10)) for nth in range(40)]
    tenths = score_reports({}, judged)[0].tenths
    assert [(each.low, each.high, each.found.decisions) for each in tenths] == [(n, n, 10) for n in range(4)]
    assert tenths[0].found.share.estimate == 0.5


def test_a_score_that_nobody_has_says_so() -> None:
    nobody = [Judged(each, None, "unknown") for each in DECISIONS]
    counts = [Judged(each, 1.0) for each in DECISIONS]
    report = score_reports({"card": nobody}, counts)[0]
    assert report.known.decisions == 0
    assert report.unknown.decisions == 5
    assert isnan(report.auc.estimate)
    assert not report.tenths
    assert not report.months


@pytest.mark.parametrize(
    ("found", "difference", "accounts", "said"),
    [
        (
            Interval(0.8, 0.7, 0.9),
            Interval(0.1, 0.02, 0.2),
            30,
            (
                "card: of an account that left and one that stayed, it rated the one that left lower in 80% of all "
                "cases (70% to 90%; chance is 50%). That is better than the plain count."
            ),
        ),
        (Interval(0.8, 0.7, 0.9), Interval(0.1, -0.01, 0.2), 30, "isn't shown to be better or worse than the plain"),
        (Interval(0.8, 0.7, 0.9), Interval(-0.1, -0.2, -0.01), 30, "That is worse than the plain count."),
        (Interval(0.55, 0.45, 0.65), None, 30, "card: it isn't shown to be better than chance, of an account"),
        (Interval(0.4, 0.35, 0.47), None, 30, "card: it is worse than chance, "),
        (Interval(1, 1, 1), Interval(0.5, 0.4, 0.6), 9, "card: only 9 accounts churned, too few to say"),
        (Interval(1, 1, 1), None, 1, "card: only 1 account churned"),
        (Interval(nan, nan, nan), None, 12, "card: all accounts churned, so there is nobody"),
    ],
)
def test_a_verdict_claims_what_the_intervals_bear_out(
    found: Interval, difference: Interval | None, accounts: int, said: str
) -> None:
    assert said in verdict("card", found, difference, accounts)
    if accounts < 10 or (difference and difference.low <= 0):
        assert "better than the plain" not in verdict("card", found, difference, accounts)


def test_a_rule_is_worth_the_churners_that_it_announces() -> None:
    tally = RuleTally("1", "low")
    day = LEFT.day
    tally.add(AccountEpisodes([Episode(day - 40, day - 31, "ann"), Episode(day - 4, day + 3, "bob")], [LEFT]), days=100)
    tally.add(AccountEpisodes([Episode(STAYED.day, STAYED.day - 1)], [STAYED]), days=60)  # over within the day
    tally.add(AccountEpisodes([Episode(STAYED_TOO.day, STAYED_TOO.day + 1, "bob")], [STAYED_TOO]), days=40)
    tally.add(AccountEpisodes([], [LEFT_IN_JUNE]), days=0)
    found = tally.report(log_days=70)
    assert (found.churners.churned, found.churners.decisions) == (1, 2)
    assert found.account_days == (10 + 8 + 0 + 2) / 200
    assert (found.precision.churned, found.precision.decisions) == (1, 2)
    assert found.chance.share.estimate == 0.5
    assert found.lead_days == 7
    assert (found.alerts, found.alerts_per_week) == (4, 0.4)
    assert found.owners == [OwnerAlerts("bob", 2, 0.2), OwnerAlerts("ann", 1, 0.1), OwnerAlerts(None, 1, 0.1)]


def test_a_rule_that_never_fires_has_no_precision_and_no_lead() -> None:
    tally = RuleTally("2", "never")
    tally.add(AccountEpisodes([], [LEFT, STAYED]), days=10)
    found = tally.report(log_days=10)
    assert found.lead_days is None
    assert isnan(found.precision.share.estimate)
