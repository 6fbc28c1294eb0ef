"""SQL for the next candidates of a list, in its order, read from an index.

After the columns of `index_columns`, indexes have the attributes that lists are filtered by. Reading an index entry
takes far less time than reading a row, so accounts with other attributes are skipped in the index. Conditions on
`attributes` refer to the table that the index belongs to: `accounts a` for `by_id`, `scores` otherwise.

Every statement returns up to `:scan_rows` rows of `scores`, after `:value` and `:id` once the list is `started`.
"""

from collections.abc import Sequence

COLUMNS = (
    "account_id, score, band, coverage, day, evaluated_at, scorecard, scorecard_version, slot, segment, stage, owner"
)


def by_id(*, descending: bool, started: bool, attributes: Sequence[str]) -> str:
    """Candidates by account id, among the accounts that meet the conditions on their `attributes`."""
    direction, beyond = ("DESC", "<") if descending else ("", ">")
    after = [f"account_id {beyond} :id"] if started else []
    order = f"ORDER BY account_id {direction}"
    where = " AND ".join([*attributes, *after]) or "true"
    if attributes:
        ids = f"SELECT account_id FROM accounts a WHERE {where} {order} LIMIT :scan_rows"  # noqa: S608 - own text
        return f"SELECT {COLUMNS} FROM ({ids}) AS such JOIN scores USING (account_id) {order}"  # noqa: S608 - own text
    return f"SELECT {COLUMNS} FROM scores WHERE {where} {order} LIMIT :scan_rows"  # noqa: S608 - own text


def by_slot(*, descending: bool, started: bool, bound: str, attributes: Sequence[str], never: bool) -> str:
    """Candidates by slot and account id that meet `bound` and the conditions on `attributes`.

    With `never`, accounts that were never evaluated come last; `:tail` is the id after which they start. An ascending
    list that is `started` gets no bound on the slot: it continues from `:value`.
    """
    bound = " AND ".join([bound, *attributes])
    value = _start_value("timestamptz", descending=descending, started=started)
    if descending:
        lateral = f"{_scan_end('slot', bound, value)} CROSS JOIN LATERAL ({_descending('slot', bound, value)}) AS there"
        there = f"SELECT there.* FROM {lateral}"  # noqa: S608 - own text
    elif started:
        there = _ascending("slot", bound, value)
    else:  # not after a lowest value: Postgres would read the index from there, whatever the bound
        there = _first("slot IS NOT NULL", bound)
    parts = [there, _first("slot IS NULL AND account_id > :tail", *attributes)] if never else [there]
    rows = " UNION ALL ".join(f"({part})" for part in parts)
    return f"""
        SELECT * FROM ({rows}) AS candidate
        ORDER BY slot {"DESC" if descending else ""} NULLS LAST, account_id LIMIT :scan_rows
    """  # noqa: S608 - own text


def _first(*conditions: str) -> str:
    return f"SELECT {COLUMNS} FROM scores WHERE {' AND '.join(conditions)} ORDER BY slot, account_id LIMIT :scan_rows"  # noqa: S608 - own text


def by_score(*, descending: bool, started: bool, bounds: Sequence[str], attributes: Sequence[str]) -> str:
    """Candidates by score and account id, in the bands `:bands`, that meet the conditions on `attributes`.

    `bounds` are the ends of conditions on the score, such as `>= :min_score`. `:quarters` are the quarter points to
    read, in order; reading stops at the first one that fills the scan. `:ends` are those in which the list may begin or
    end. A null at the end of the quarters stands for accounts without a score, after the id `:tail`.
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
        after = f"(score < {value} OR score = {value} AND account_id > :id)"
    else:
        cut = ""
        settled = f"({_ascending('settled', resting, value)})"
        after = f"(score, account_id) > ({value}, :id)"
    return f"""
        SELECT candidate.* FROM ({_quarters(in_band)}) AS step
        CROSS JOIN LATERAL (
            SELECT there.* FROM unnest(CAST(:bands AS text[])) AS any_band (wanted) {cut}
            CROSS JOIN LATERAL (
                {settled}
                UNION ALL
                (SELECT {COLUMNS} FROM scores WHERE {moving} AND {after}
                 ORDER BY {order} LIMIT :scan_rows)
                UNION ALL
                (SELECT {COLUMNS} FROM scores
                 WHERE step.wanted IS NULL AND {in_band} AND quarter IS NULL AND settled IS NULL
                   AND account_id > :tail
                 ORDER BY quarter, settled, account_id LIMIT :scan_rows)
            ) AS there
            ORDER BY {order} LIMIT :scan_rows
        ) AS candidate
        ORDER BY step.place, {order} LIMIT :scan_rows
    """  # noqa: S608 - own text


# A sort knows that a quarter point is complete only after it has read the next one too. So the index is counted first
# to find how many quarter points to read; empty ones are left out. Those of `:ends` may hold no matching account.


def _quarters(in_band: str) -> str:
    quarters = "(CAST(:quarters AS smallint[]))"
    return f"""
        WITH RECURSIVE step (wanted, place, before, has) AS (
            SELECT CAST(NULL AS smallint), 0, 0::bigint, 0::bigint
            UNION ALL
            SELECT next.wanted, next.place,
                   before + CASE WHEN step.wanted = ANY(CAST(:ends AS smallint[])) THEN 0 ELSE has END,
                   (SELECT count(*) FROM unnest(CAST(:bands AS text[])) AS any_band (wanted) CROSS JOIN LATERAL (
                       SELECT FROM scores WHERE {in_band} AND quarter = next.wanted LIMIT :scan_rows
                   ) AS there)
            FROM step CROSS JOIN LATERAL (
                SELECT {quarters}[step.place + 1] AS wanted, step.place + 1 AS place
            ) AS next
            WHERE next.place <= cardinality{quarters} AND before < :scan_rows
        )
        SELECT wanted, place FROM step
        WHERE place > 0 AND before < :scan_rows AND (has > 0 OR wanted IS NULL) ORDER BY place
    """  # noqa: S608 - own text


def _start_value(kind: str, *, descending: bool, started: bool) -> str:
    """The value at which the last page ended; for the first page a value that comes before all others."""
    first = "'infinity'" if descending else "'-infinity'"
    return f"CAST({':value' if started else first} AS {kind})"


def _ascending(column: str, where: str, value: str) -> str:
    return f"""
        SELECT {COLUMNS} FROM scores WHERE {where} AND ({column}, account_id) > ({value}, :id)
        ORDER BY {column}, account_id LIMIT :scan_rows
    """  # noqa: S608 - own text


# An index read backwards returns equal values in the wrong order, and there may be any number of them. So the value at
# which the scan ends is found first: fewer rows than the scan may return lie above it, and they can be sorted; for that
# value, and for the one at which the last page ended, the index returns the rows needed in the right order. OFFSET 0
# makes Postgres look it up once: the planner would otherwise copy it into both places where it is used.


def _scan_end(column: str, where: str, value: str) -> str:
    return f"""LATERAL (SELECT coalesce((
        SELECT {column} FROM scores WHERE {where} AND {column} < {value}
        ORDER BY {column} DESC OFFSET :scan_rows - 1 LIMIT 1
    ), '-infinity') AS value OFFSET 0) AS cut"""  # noqa: S608 - own text


def _descending(column: str, where: str, value: str) -> str:
    return f"""
        (SELECT {COLUMNS} FROM scores WHERE {where} AND {column} = {value} AND account_id > :id
         ORDER BY account_id LIMIT :scan_rows)
        UNION ALL
        (SELECT {COLUMNS} FROM scores WHERE {where} AND {column} < {value} AND {column} > cut.value)
        UNION ALL
        (SELECT {COLUMNS} FROM scores WHERE {where} AND {column} = cut.value AND {column} < {value}
         ORDER BY account_id LIMIT :scan_rows)
    """  # noqa: S608 - own text
