"""deploy/compose.yaml: loaded as `docker compose config` loads it, and compared with the files it names."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from service.cli.run_process import GRACE_SECONDS
from tests.support import compose
from tests.support.chart import DEPLOY, PROCESSES
from tests.support.commands_known import SETTINGS, is_command
from tests.support.compose import documented, loaded, services, variables
from tests.support.promtool import promtool

REQUIRED = {name for name, rest in variables() if rest.startswith(":?")}
GIVEN = dict.fromkeys(REQUIRED, "a-value-of-some-length")
OURS = {name: each for name, each in services().items() if each["image"].startswith("account-health:")}
needs_go = pytest.mark.skipif(compose.what_is_missing() is not None, reason=str(compose.what_is_missing()))


@needs_go
def test_compose_loads_it(tmp_path: Path) -> None:
    project = loaded(tmp_path, GIVEN)
    assert project["name"] == "account-health"
    assert project["services"].keys() == services().keys()
    api = project["services"]["api"]
    assert (
        api["environment"]["HEALTH_DATABASE_URL"] == "postgresql://health:a-value-of-some-length@postgres:5432/health"
    )
    [port] = api["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8080", 8080)
    assert api["environment"]["HEALTH_PUBLIC_URL"] == "http://localhost:8080"
    build = api["build"]
    assert Path(build["context"]) == tmp_path
    assert (tmp_path / build["dockerfile"]).is_file()
    for each in project["services"].values():
        for mount in each.get("volumes", []):
            assert mount["type"] == "volume" or Path(mount["source"]).exists(), mount


@needs_go
def test_links_in_alerts_lead_to_the_port_that_is_published(tmp_path: Path) -> None:
    api = loaded(tmp_path, {**GIVEN, "HEALTH_PORT": "8081"})["services"]["api"]
    assert api["ports"][0]["published"] == "8081"
    assert api["environment"]["HEALTH_PUBLIC_URL"] == "http://localhost:8081"


@needs_go
@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_what_is_not_set_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    refused = compose.load(tmp_path, {**GIVEN, name: ""})
    assert refused.returncode == 1
    assert f"required variable {name} is missing a value: set it in deploy/.env" in refused.stderr


@needs_go
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("read_only: true", "readonly: true", ".readonly false schema"),
        ("{postgres: {", "{postgre: {", 'depends on undefined service "postgre"'),
        ("[inside, outside]", "[inside, outer]", "refers to undefined network outer"),
    ],
)
def test_it_would_not_load_a_mistake(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    text = compose.FILE.read_text()
    assert right in text
    refused = compose.load(tmp_path, GIVEN, text.replace(right, wrong))
    assert refused.returncode == 1
    assert said in refused.stderr


def test_every_variable_is_explained_with_the_default_that_it_has() -> None:
    asked = dict(variables())
    assert documented().keys() == asked.keys()
    for name, value in documented().items():
        default = re.sub(r"\$\{[A-Z_]+:-(\w+)\}", r"\1", asked[name].removeprefix(":-"))
        assert value == ("" if name in REQUIRED else default), name


def test_secrets_have_no_default() -> None:
    named = {name for name, _ in variables() if name.endswith(("_PASSWORD", "_KEY"))}
    assert named == REQUIRED
    assert ".env" in (DEPLOY.parent / ".gitignore").read_text().split()


def test_processes_run_real_commands_with_real_settings() -> None:
    assert {name: OURS[name]["command"] for name in PROCESSES} == {name: [run] for name, run in PROCESSES.items()}
    assert OURS.keys() - PROCESSES.keys() == {"migrate", "reader", "topics"}
    for each in OURS.values():
        assert is_command(each["command"])
        assert each["environment"].keys() <= SETTINGS


def test_processes_may_do_nothing_that_they_need_not() -> None:
    for name, each in services().items():
        assert "no-new-privileges:true" in each["security_opt"], name
        assert "privileged" not in each
        assert "memory" in each["deploy"]["resources"]["limits"], name
    for each in OURS.values():
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert [mount.partition(":")[0] for mount in each["tmpfs"]] == ["/tmp"]
        assert "volumes" not in each


def test_each_waits_for_what_it_needs_and_is_there_and_healthy() -> None:
    found = services()
    for name in PROCESSES:
        assert found[name]["depends_on"] == {
            step: {"condition": "service_completed_successfully"} for step in ("migrate", "topics")
        }
    for each in found.values():
        for needed, how in each.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in found[needed]["healthcheck"]
            else:
                assert found[needed]["restart"].startswith("on-failure")  # one that is started for ever never completes
    for name in PROCESSES:
        assert "healthcheck" not in found[name]  # the image's
        assert found[name]["restart"] == "unless-stopped"
        assert int(found[name]["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS


def test_images_are_pinned_and_data_outlives_its_container() -> None:
    for name, each in services().items():
        if name not in OURS:
            assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", each["image"]), each["image"]
    kept = yaml.safe_load(compose.FILE.read_text())["volumes"]
    assert kept.keys() == {"kafka", "postgres", "prometheus", "grafana"}
    for name in kept:
        assert any(mount.startswith(f"{name}:/") for mount in services()[name]["volumes"])


def test_only_this_machine_reaches_what_has_no_password() -> None:
    for name, each in services().items():
        for port in each.get("ports", []):
            assert port.startswith("127.0.0.1:" if name != "api" else "${HEALTH_BIND_ADDRESS:-127.0.0.1}:"), name
    outside = {name for name, each in services().items() if "outside" in each["networks"]}
    assert outside == {"kafka", "api", "delivery", "prometheus", "grafana"}
    assert yaml.safe_load(compose.FILE.read_text())["networks"]["inside"] == {"internal": True}


def test_prometheus_scrapes_every_process_on_its_port_for_probes() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [job] = [job for job in config["scrape_configs"] if job["job_name"] == "account-health"]
    [search] = job["dns_sd_configs"]
    assert set(search["names"]) == PROCESSES.keys()
    assert f"HEALTH_PROBES_PORT={search['port']}" in (DEPLOY / "Dockerfile").read_text()
    mounts = dict(mount.split(":")[:2] for mount in services()["prometheus"]["volumes"])
    [rules] = config["rule_files"]
    assert mounts["./prometheus/rules"] == str(Path(rules).parent)
    assert list((DEPLOY / "prometheus" / "rules").glob(Path(rules).name))


def test_prometheus_takes_its_configuration() -> None:
    checked = promtool("check", "config", "--syntax-only", DEPLOY / "prometheus" / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr


def test_grafana_has_the_data_sources_and_dashboards_that_are_there() -> None:
    provisioned = DEPLOY / "grafana" / "provisioning"
    found = yaml.safe_load((provisioned / "datasources" / "account-health.yaml").read_text())["datasources"]
    sources = {source["uid"]: source for source in found}
    assert sources.keys() == {"prometheus", "health-postgres"}
    assert urlsplit(sources["prometheus"]["url"]).hostname in services()
    postgres, port = sources["health-postgres"]["url"].split(":")
    assert (postgres in services(), port) == (True, "5432")
    assert sources["health-postgres"]["jsonData"]["database"] == services()["postgres"]["environment"]["POSTGRES_DB"]
    password = sources["health-postgres"]["secureJsonData"]["password"]
    assert password.removeprefix("$") in services()["grafana"]["environment"]
    for board in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        asked = set(re.findall(r'"type": ?"([a-z-]*(?:postgres|prometheus)[a-z-]*)"', board.read_text()))
        assert asked <= {source["type"] for source in found}, board.name
    [provider] = yaml.safe_load((provisioned / "dashboards" / "account-health.yaml").read_text())["providers"]
    mounts = dict(reversed(mount.split(":")[:2]) for mount in services()["grafana"]["volumes"])
    assert mounts[provider["options"]["path"]] == "./grafana/dashboards"


def test_yamllint_finds_nothing_to_complain_of() -> None:
    command = [sys.executable, "-m", "yamllint", "--strict", "--format", "parsable", "deploy", "scoring"]
    found = subprocess.run(command, cwd=DEPLOY.parent, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
