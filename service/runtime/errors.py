"""Errors that are meant for people: each says what is wrong and what to do next, in place of an ImportError too."""

from importlib.util import find_spec


class HealthError(Exception):
    """A failure with a remedy. Commands print it as one line and exit with status 1, never as a traceback."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        """`problem` names what is wrong; `remedy` is the next thing to do, if one is known."""
        super().__init__(f"{problem}. {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["HealthError"], tuple[str, str]]:
        """Keep the parts apart on the way from another process, where a subclass may take other arguments."""
        return HealthError, (self.problem, self.remedy)


def has_files_extra() -> bool:
    """True if Arrow is installed."""
    return find_spec("pyarrow") is not None


def require_files_extra(what: str) -> None:
    """Make sure that Arrow, which `what` needs, is installed. Raises `HealthError` naming the extra."""
    _require("pyarrow", "files", what)


def require_spark_extra(what: str) -> None:
    """Make sure that Spark's client, which `what` needs, is installed. Raises `HealthError` naming the extra."""
    _require("pyspark", "spark", what)


def _require(module: str, extra: str, what: str) -> None:
    if find_spec(module) is None:
        raise HealthError(
            f"{what} needs the extra `{extra}`, which isn't installed", f"Run: pip install 'account-health[{extra}]'"
        )
