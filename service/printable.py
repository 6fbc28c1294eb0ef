"""Text that people can read, and databases take: no control characters, no NUL, no line breaks."""

from typing import Any

PATTERN = r"^(?:[^\p{C}\p{Z}]| )*$"
"""What `str.isprintable` means, as JSON Schema has it: no control characters, and no separators but the blank."""

SCHEMA: dict[str, Any] = {"pattern": PATTERN}
