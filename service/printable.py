"""Text that people can read, and databases take: no control characters, no NUL, no line breaks."""

from typing import Any

SCHEMA: dict[str, Any] = {"pattern": r"^[^\u0000-\u001f\u007f-\u00a0\u2028\u2029]*$"}
"""What `str.isprintable` means, as far as the pattern languages of all who read JSON Schema can say it."""
