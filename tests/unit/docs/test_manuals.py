"""The documents: every link between them, and into the code, leads somewhere."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
    *sorted((ROOT / "deploy").glob("*.md")),
]
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"^( *)```.*?^\1```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


@cache
def anchors(document: Path) -> frozenset[str]:
    """What a link into a document may name, as GitHub makes it of headings."""
    text = re.sub(r"^( *)```.*?^\1```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} +(.*?) *#*$", text, re.MULTILINE):
        plain = LINK.sub("]", heading).lower()
        found.append(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return frozenset(f"{each}-{n}" if n else each for i, each in enumerate(found) for n in [found[:i].count(each)])


def broken(document: Path) -> list[str]:
    """The relative links of a document that lead nowhere."""
    links = LINK.findall(CODE.sub("", document.read_text()))
    return [link for link in links if not re.match(r"[a-z]+:", link) and not leads_somewhere(document, link)]


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere_and_no_placeholder_is_left(document: Path) -> None:
    assert broken(document) == []
    assert re.findall(r"@[A-Z_]+@", document.read_text()) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    document = tmp_path / "one.md"
    document.write_text("# Some `code`, here\n\n## Twice\n\n## Twice\n")
    for link in ("#some-code-here", "#twice", "#twice-1", "one.md#twice", "https://elsewhere.example/x#y"):
        (tmp_path / "two.md").write_text(f"[text]({'one.md' + link if link.startswith('#') else link})\n")
        assert broken(tmp_path / "two.md") == []
    for link in ("other.md", "one.md#thrice", "one.md#twice-2", "../outside.md", "#missing"):
        (tmp_path / "two.md").write_text(f"[text]({link})\n")
        assert broken(tmp_path / "two.md") == [link]
