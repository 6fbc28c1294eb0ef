"""The base of all benchmarks: servers, load, results and their files. Here are the names that its processes share."""

HOST = "127.0.0.1"


def account_id(number: int) -> str:
    """The name of an account."""
    return f"account-{number:07d}"
