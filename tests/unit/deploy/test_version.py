"""One version: that of pyproject.toml, which everything else repeats or reads from the installed package."""

import re
import subprocess
import tomllib
from importlib.metadata import version

import yaml

from tests.support.paths import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_installed_package_has_it() -> None:
    assert version("account-health") == VERSION, "pyproject.toml has changed: run make setup"


def test_the_chart_and_the_image_have_it() -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/account-health/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)
    assert re.findall(r"^ARG VERSION=(.*)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE) == [VERSION]


def test_it_is_the_newest_release_in_the_changelog() -> None:
    unreleased, newest, *_ = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert unreleased == "[Unreleased]"
    assert re.fullmatch(re.escape(f"[{VERSION}] - ") + r"\d{4}-\d\d-\d\d", newest)


def test_no_other_file_repeats_it() -> None:
    quoted = re.compile(rf"""["']{re.escape(VERSION)}["']""")
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [name for name in files.stdout.split() if quoted.search((ROOT / name).read_text())] == []
