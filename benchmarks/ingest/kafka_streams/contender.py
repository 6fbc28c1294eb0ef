"""Kafka Streams: its application is built once per version of its sources, in the cache folder that tests use too."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks.harness.machine import java_version
from benchmarks.harness.processes import ContenderFailedError
from benchmarks.harness.terminal import say
from benchmarks.ingest.contenders import ContenderRun, FilledTopic, group_of, run_other

FOLDER = Path(__file__).parent
POM = FOLDER / "pom.xml"
JAVA_NEEDED = 17
NAME = "Kafka Streams"
THREADS = 2
HEAP = "1g"


def install() -> str:
    """Build it if necessary; returns the version of Kafka Streams. Raises `ContenderFailedError`."""
    java = java_version()
    if java is None or int(java.split(".")[0]) < JAVA_NEEDED:
        raise ContenderFailedError(f"Kafka Streams needs `java` {JAVA_NEEDED} on the PATH; there is {java or 'none'}")
    if not _folder().exists():
        _build(_folder())
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    assert found, "the pom names kafka.version"
    return found[1]


def _build(folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise ContenderFailedError("there is no `mvn` on the PATH to build Kafka Streams with")
    say("Building the Kafka Streams contender with Maven, once: about 90 MB, half a minute.")
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["mvn", "-B", "-q", "-ntp", "-f", str(POM), f"-Dbuild.folder={unfinished}"]
    command += ["compile", "dependency:copy-dependencies"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ContenderFailedError(f"Maven failed:\n{(result.stdout + result.stderr).strip()[-3000:]}")
    unfinished.rename(folder)


def _folder() -> Path:
    sources = hashlib.sha256()
    for path in [POM, *sorted(FOLDER.rglob("*.java"))]:
        sources.update(path.read_bytes())
    cache = os.environ.get("HEALTH_TEST_CACHE") or Path.home() / ".cache" / "account-health"
    return Path(cache).resolve() / f"benchmark-kafka-streams-{sources.hexdigest()[:12]}"


def run(topic: FilledTopic) -> ContenderRun:
    """Fold the whole topic into a database of its own, and check the scores."""
    url = topic.arena.create_database(f"streams_{topic.distribution}")
    java = ["java", f"-Xmx{HEAP}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    java += ["-cp", f"{_folder()}/classes:{_folder()}/jars/*"]
    arguments = [topic.arena.bootstrap, topic.usage, group_of(topic, NAME), "state", str(THREADS)]
    command = [*java, "benchmarks.HealthStreams", *arguments]
    return run_other(NAME, topic, command, url, {"JDBC_URL": _jdbc(url)}, len(topic.workload))


def _jdbc(url: str) -> str:
    """A `postgresql://` URL in Java's form; batches go as one statement of many rows."""
    parts = urlsplit(url)
    options = {"user": parts.username, "password": parts.password, "reWriteBatchedInserts": "true"}
    return f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}?{urlencode(options)}"
