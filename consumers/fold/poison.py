"""What a dead letter is told to blame when its record can't be folded."""


def blame(error: Exception) -> str:
    """The reason that a dead letter is given."""
    text = str(getattr(error, "orig", None) or error).splitlines()
    return f"event: can't be folded: {type(error).__name__}: {text[0] if text else ''}".rstrip(": ")
