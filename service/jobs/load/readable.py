"""What a file says, fit to be shown on a terminal: bounded, and without characters that steer it."""

MOST_CHARACTERS = 300


def readable(text: str) -> str:
    """The text, with escapes for what can't be printed, cut off after 300 characters."""
    cut = text[:MOST_CHARACTERS]
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut)
    return shown if len(text) <= MOST_CHARACTERS else f"{shown}…"
