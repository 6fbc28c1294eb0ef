"""The last filter of log lines: values that look like secrets or personal data are masked.

A safety net, not the rule: code doesn't log them to begin with. Account ids stay, as they are the business's own keys.
"""

import re
from collections.abc import Mapping
from typing import Any

MASK = "[redacted]"

_SECRET_NAMES = re.compile(
    r"(?i)(^|_|-)(authorization|cookie|password|passwd|secret|token|api[_-]?key|encryption_key|private_key|dsn|database_url)$"
)
_PERSONAL_NAMES = frozenset({"user_id", "respondent_id", "comment", "email", "e_mail", "account_name", "owner"})
# None of these may take more than linear time, whatever the text: lines are filtered on the event loop.
_PATTERNS = (
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), MASK),
    (re.compile(r"\bhk_[A-Za-z0-9_-]{16,}"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://[^\s/:@]*):[^\s/]+@"), rf"\1:{MASK}@"),
    (
        re.compile(
            r"(?i)(?<![a-z_-])((?:[a-z]+[_-])*+(?:password|secret|token|authorization)['\"]?\s*[=:]\s*['\"]?)[^\s'\",;}&]+"
        ),
        rf"\1{MASK}",
    ),
    (
        re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"),
        "[e-mail]",
    ),
    # Postgres and asyncpg quote the values that they refuse.
    (re.compile(r"(DETAIL:|CONTEXT:).*"), rf"\1 {MASK}"),
    (
        re.compile(r"(invalid input for query argument \$\d+(?: in element #\d+ of executemany\(\) sequence)?:).*"),
        rf"\1 {MASK}",
    ),
)


def redact(_logger: object, _method: str, event: Any) -> Any:
    """A structlog processor that masks values by the names of their fields, and parts of text by their form."""
    return {name: MASK if _names_secret(str(name), value) else _clean(value) for name, value in event.items()}


def _names_secret(name: str, value: object) -> bool:
    return bool(value) and (name.lower() in _PERSONAL_NAMES or _SECRET_NAMES.search(name) is not None)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping):
        return redact(None, "", value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else _clean_text(str(value))


def _clean_text(text: str) -> str:
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
