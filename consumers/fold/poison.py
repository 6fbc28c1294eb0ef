"""The reason of a dead letter whose record can't be folded."""


def blame(error: Exception) -> str:
    """The reason that the dead letter gets."""
    text = str(getattr(error, "orig", None) or error).splitlines()
    return f"event: can't be folded: {type(error).__name__}: {text[0] if text else ''}".rstrip(": ")
