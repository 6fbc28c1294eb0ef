"""Text that people write: everything but control characters and lone surrogates is taken."""

import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from consumers.fold.decode import _readable
from service.runtime.text import PRINTABLE_SCHEMA, unprintable_problem

texts = st.text(st.characters(), max_size=30) | st.text(st.characters(categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cf"]))


@given(texts)
def test_the_first_character_at_fault_is_named_and_no_other_is_refused(text: str) -> None:
    bad = [at for at, char in enumerate(text) if unicodedata.category(char) in ("Cc", "Cs")]
    problem = unprintable_problem(text)
    if not bad:
        assert problem is None
    else:
        assert problem is not None
        assert f"U+{ord(text[bad[0]]):04X}," in problem
        assert problem.endswith(f" at position {bad[0] + 1}")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_schema_says_the_same(text: str) -> None:
    """The pattern with `\\Z` for the end, as `$` means in ECMA 262."""
    pattern = PRINTABLE_SCHEMA["pattern"].removesuffix("$") + r"\Z"
    assert (re.search(pattern, text) is None) == (unprintable_problem(text) is not None)


def test_a_dead_letters_account_is_read_off_its_key() -> None:
    assert _readable("株式会社\u3000日本".encode()) == "株式会社\u3000日本"
    assert _readable(b"a\x00b") is None
    assert _readable(b"\xff") is None
