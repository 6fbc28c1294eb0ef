"""Files of scorecards, whatever bytes they hold: a document, or an error that names the file."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.cli.scorecard_file import read
from service.runtime.errors import HealthError

PIECES = st.sampled_from(
    [
        "name",
        ": ",
        "- ",
        "[",
        "{",
        "&a ",
        "*a",
        "!!int ",
        "!!bool ",
        "!!timestamp ",
        "!!float ",
        "!!binary ",
        "!!omap ",
        "!!set ",
        "\n",
        "9" * 20,
        ".nan",
        "2026-13-45",
        "é",
    ]
)


@given(st.lists(PIECES, max_size=12).map(lambda pieces: "".join(pieces).encode()) | st.binary(max_size=40))
@example(b"[" * 2_000)
@example(b"{" * 2_000)
@example(b'{"name": ' + b"9" * 5_000 + b"}")
@example(b"name: x\nmeasures: [{window: " + b"9" * 5_000 + b"}]")
@example(b"name: 2026-13-45")
@example(b"name: !!int x")
@example(b"name: !!int ''")
@example(b"name: !!bool x")
@example(b"name: !!timestamp x")
@example(b"a: &a [*a]")
@example("name: x".encode("utf-16"))
@example(b'name: "\\ud800"')
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_no_scorecard_is_refused_by_the_files_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "scorecard.yaml"
    file.write_bytes(content)
    with pytest.raises(HealthError, match=r"scorecard\.yaml (is neither|can't be)"):
        read(file, 92)
