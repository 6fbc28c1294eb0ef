"""Accounts one after another by an index: SQL for the next candidates of a list, in its order.

`scores` is updated with every event, and most of these updates must leave the indexes alone (heap-only tuples). So no
index holds what nearly every event changes. Generated columns that seldom move stand for it:

- `quarter`, the score's quarter points. Accounts that share one are sorted when a page reaches them.
- `settled`, the score where it rests: it is what it was on an earlier day, or it is whole, as 0, 100 and caps are. Any
  number of accounts may share such a score, and the index has them in their final order.
- `slot`, the two minutes that `evaluated_at` lies in. Every night a million accounts are evaluated within minutes, too
  many to sort for a page: they are listed by slot, and within one by account id.

Behind these the indexes have the attributes that lists are narrowed down by. An entry takes little of the time of a
row, so accounts with other attributes are gone through in the index. Conditions on `attributes` are of the table that
the index belongs to: `accounts a` for `by_id` without slots, else `scores`.

Every statement here gives up to `:stretch` rows of `scores`, from behind `:value` and `:id` once the list is `started`.
"""

from collections.abc import Sequence

COLUMNS = "account_id, score, band, coverage, day, evaluated_at, slot, segment, stage, owner"


def by_id(*, descending: bool, started: bool, slots: Sequence[str] | None, attributes: Sequence[str]) -> str:
    """By account id, of the accounts for which conditions on their `attributes` hold.

    Where `slots` are given, which are names of parameters, it is of the accounts in these.
    """
    direction, beyond = ("DESC", "<") if descending else ("", ">")
    behind = [f"account_id {beyond} :id"] if started else []
    order = f"ORDER BY account_id {direction}"
    if slots is not None:
        each = [[f"slot = :{name}", *attributes, *behind] for name in slots] or [["false"]]
        one_slot = f"(SELECT {COLUMNS} FROM scores WHERE {{}} {order})"  # noqa: S608 - own text
        rows = " UNION ALL ".join(one_slot.format(" AND ".join(conditions)) for conditions in each)
        return f"SELECT * FROM ({rows}) AS candidate {order} LIMIT :stretch"  # noqa: S608 - own text
    if attributes:
        where = " AND ".join([*attributes, *behind])
        ids = f"SELECT account_id FROM accounts a WHERE {where} {order} LIMIT :stretch"  # noqa: S608 - own text
        return f"SELECT {COLUMNS} FROM ({ids}) AS such JOIN scores USING (account_id) {order}"  # noqa: S608 - own text
    where = " AND ".join(behind) or "true"
    return f"SELECT {COLUMNS} FROM scores WHERE {where} {order} LIMIT :stretch"  # noqa: S608 - own text


def by_slot(*, descending: bool, started: bool, bound: str, attributes: Sequence[str], never: bool) -> str:
    """By slot and account id, where `bound` and the conditions on `attributes` hold.

    With `never`, what was never evaluated comes last; `:tail` is the id it starts behind. Upwards, a list that is
    `started` is given no bound by slot: it follows from `:value`.
    """
    bound = " AND ".join([bound, *attributes])
    value = _start_value("timestamptz", descending=descending, started=started)
    if descending:
        lateral = f"{_scan_end('slot', bound, value)} CROSS JOIN LATERAL ({_descending('slot', bound, value)}) AS there"
        there = f"SELECT there.* FROM {lateral}"  # noqa: S608 - own text
    elif started:
        there = _ascending("slot", bound, value)
    else:  # not behind a value before all others: the index would be read from there, whatever the bound
        there = _first("slot IS NOT NULL", bound)
    parts = [there, _first("slot IS NULL AND account_id > :tail", *attributes)] if never else [there]
    rows = " UNION ALL ".join(f"({part})" for part in parts)
    return f"""
        SELECT * FROM ({rows}) AS candidate
        ORDER BY slot {"DESC" if descending else ""} NULLS LAST, account_id LIMIT :stretch
    """  # noqa: S608 - own text


def _first(*conditions: str) -> str:
    return f"SELECT {COLUMNS} FROM scores WHERE {' AND '.join(conditions)} ORDER BY slot, account_id LIMIT :stretch"  # noqa: S608 - own text


def by_score(*, descending: bool, started: bool, bounds: Sequence[str], attributes: Sequence[str]) -> str:
    """By score and account id, of the bands `:bands`, where the conditions on `attributes` hold.

    `bounds` are what a score has to be, such as `>= :min_score`. `:quarters` are the quarter points to go through, in
    order; it stops at the first one that fills the stretch. `:ends` are those that the list may begin or end within. A
    null at the end of the quarters is for accounts without a score, behind the id `:tail`.
    """
    value = _start_value("float8", descending=descending, started=started)
    in_band = " AND ".join(["band = any_band.wanted", *attributes])
    here = f"{in_band} AND quarter = step.wanted"
    resting = " AND ".join([here, *(f"settled {bound}" for bound in bounds)])
    moving = " AND ".join([here, "settled IS NULL", *(f"score {bound}" for bound in bounds)])
    order = "score DESC, account_id" if descending else "score, account_id"
    if descending:
        cut = f"CROSS JOIN {_scan_end('settled', resting, value)}"
        settled = _descending("settled", resting, value)
        behind = f"(score < {value} OR score = {value} AND account_id > :id)"
    else:
        cut = ""
        settled = f"({_ascending('settled', resting, value)})"
        behind = f"(score, account_id) > ({value}, :id)"
    return f"""
        SELECT candidate.* FROM ({_quarters(in_band)}) AS step
        CROSS JOIN LATERAL (
            SELECT there.* FROM unnest(CAST(:bands AS text[])) AS any_band (wanted) {cut}
            CROSS JOIN LATERAL (
                {settled}
                UNION ALL
                (SELECT {COLUMNS} FROM scores WHERE {moving} AND {behind}
                 ORDER BY {order} LIMIT :stretch)
                UNION ALL
                (SELECT {COLUMNS} FROM scores
                 WHERE step.wanted IS NULL AND {in_band} AND quarter IS NULL AND settled IS NULL
                   AND account_id > :tail
                 ORDER BY quarter, settled, account_id LIMIT :stretch)
            ) AS there
            ORDER BY {order} LIMIT :stretch
        ) AS candidate
        ORDER BY step.place, {order} LIMIT :stretch
    """  # noqa: S608 - own text


# To know that a quarter point is its last, a sort would read the next one, too. So it is counted first, in the index,
# how far to go, and what is empty on the way is left out; in those of `:ends` there may be none that are wanted.


def _quarters(in_band: str) -> str:
    quarters = "(CAST(:quarters AS smallint[]))"
    return f"""
        WITH RECURSIVE step (wanted, place, before, has) AS (
            SELECT CAST(NULL AS smallint), 0, 0::bigint, 0::bigint
            UNION ALL
            SELECT next.wanted, next.place,
                   before + CASE WHEN step.wanted = ANY(CAST(:ends AS smallint[])) THEN 0 ELSE has END,
                   (SELECT count(*) FROM unnest(CAST(:bands AS text[])) AS any_band (wanted) CROSS JOIN LATERAL (
                       SELECT FROM scores WHERE {in_band} AND quarter = next.wanted LIMIT :stretch
                   ) AS there)
            FROM step CROSS JOIN LATERAL (
                SELECT {quarters}[step.place + 1] AS wanted, step.place + 1 AS place
            ) AS next
            WHERE next.place <= cardinality{quarters} AND before < :stretch
        )
        SELECT wanted, place FROM step
        WHERE place > 0 AND before < :stretch AND (has > 0 OR wanted IS NULL) ORDER BY place
    """  # noqa: S608 - own text


def _start_value(kind: str, *, descending: bool, started: bool) -> str:
    """Where the last page ended; for the first page a value that everything is behind."""
    first = "'infinity'" if descending else "'-infinity'"
    return f"CAST({':value' if started else first} AS {kind})"


def _ascending(column: str, where: str, value: str) -> str:
    return f"""
        SELECT {COLUMNS} FROM scores WHERE {where} AND ({column}, account_id) > ({value}, :id)
        ORDER BY {column}, account_id LIMIT :stretch
    """  # noqa: S608 - own text


# An index read backwards has equal values in the wrong order, and there may be any number of them. So first comes the
# value at which the stretch ends: of what lies above there are fewer rows than the stretch has, and they can be sorted;
# of that value, and of the one where the last page ended, the index gives as many as are wanted in the right order.
# OFFSET 0 has it looked up once: the planner would put it in both places where it is used.


def _scan_end(column: str, where: str, value: str) -> str:
    return f"""LATERAL (SELECT coalesce((
        SELECT {column} FROM scores WHERE {where} AND {column} < {value}
        ORDER BY {column} DESC OFFSET :stretch - 1 LIMIT 1
    ), '-infinity') AS value OFFSET 0) AS cut"""  # noqa: S608 - own text


def _descending(column: str, where: str, value: str) -> str:
    return f"""
        (SELECT {COLUMNS} FROM scores WHERE {where} AND {column} = {value} AND account_id > :id
         ORDER BY account_id LIMIT :stretch)
        UNION ALL
        (SELECT {COLUMNS} FROM scores WHERE {where} AND {column} < {value} AND {column} > cut.value)
        UNION ALL
        (SELECT {COLUMNS} FROM scores WHERE {where} AND {column} = cut.value AND {column} < {value}
         ORDER BY account_id LIMIT :stretch)
    """  # noqa: S608 - own text
