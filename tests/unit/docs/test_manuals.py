"""The documents: every link between them, and every path that they name, leads somewhere."""

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
NAMES_PATHS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "deploy").glob("*.md")),
]
PATH = re.compile(
    r"(?<![\w./*-])(?:(?:consumers|service|scoring|migrations|deploy|tests|benchmarks|\.ci)/[\w./*-]*[\w*/]"
    r"|(?:[\w.-]+/)*[\w*-]+\.(?:py|md|sql|ya?ml|lock|toml))(?![\w/-])"
)
ELSEWHERE = {
    "deploy/.env",
    "deploy/settings.env",
    "draft.yaml",
    "onboarding.yaml",
    "default.yaml",
    "values.yaml",
    "benchmarks/results/",
    "spark.sql",
}
"""Files that an operator writes, or a benchmark; and the beginning of settings of Spark."""
CODE = re.compile(r"^( *)```.*?^\1```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


@cache
def anchors(document: Path) -> frozenset[str]:
    """The anchors of a document's headings that links may name, as GitHub makes them."""
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


def missing(document: Path) -> list[str]:
    """The paths, from the root or from the document's folder, that a document names and that lead nowhere."""
    named = sorted(set(PATH.findall(re.sub(r"https?://\S+", "", document.read_text()))) - ELSEWHERE)
    return [path for path in named if not any(any(folder.glob(path)) for folder in (ROOT, document.parent))]


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


@pytest.mark.parametrize("document", NAMES_PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_is_named_exists(document: Path) -> None:
    assert missing(document) == []


def test_a_path_that_does_not_exist_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "service" / "api").mkdir(parents=True)
    (tmp_path / "service" / "api" / "app.py").touch()
    document = tmp_path / "one.md"
    for path in ("service/api/", "service/api/app.py", "service/api/*.py"):
        document.write_text(f"See `{path}`, or https://example.com/service/gone.py.\n")
        assert missing(document) == []
    for path in ("service/web/", "service/api/web.py", "service/web/*.py", "app.py"):
        document.write_text(f"See `{path}`.\n")
        assert missing(document) == [path]


@pytest.mark.parametrize(
    ("question", "path", "what_is_there"),
    [
        ("where is a webhook signed?", "service/delivery/transport/signing.py", r"hmac\.digest\("),
        ("where does a late event get dropped?", "scoring/state/tickets.py", r"late \+= 1\s+continue"),
        ("where is a score's curve evaluated?", "scoring/scorecards/curve.py", r"bisect_right\(values, value\)"),
        ("where is the SQL that claims deliveries?", "service/storage/webhooks/outbox.py", r"delivery SKIP LOCKED"),
        ("where is a CloudEvent checked?", "service/messaging/cloudevents.py", r"def decode_structured\("),
        ("who decides that a partition halts?", "consumers/fold/ownership.py", r'"partition_halted"'),
    ],
)
def test_the_walk_through_the_code_answers(question: str, path: str, what_is_there: str) -> None:
    walk = (ROOT / "README.md").read_text().partition("## A walk through the code")[2]
    assert f"`{path}`" in walk, question
    assert re.search(what_is_there, (ROOT / path).read_text()), question


def test_the_readme_lists_every_room_and_no_other() -> None:
    packages = (
        path.parent for top in ("consumers", "service", "scoring") for path in ROOT.glob(f"{top}/*/__init__.py")
    )
    listed = re.findall(r"^\| `([\w/]+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(ROOT)) for path in packages)
