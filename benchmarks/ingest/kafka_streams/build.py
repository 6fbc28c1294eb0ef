"""Building the Kafka Streams contender: once per version of its sources, in the cache folder that tests use too."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.harness.machine import java_version
from benchmarks.harness.processes import ContenderFailedError
from benchmarks.harness.terminal import say

FOLDER = Path(__file__).parent
POM = FOLDER / "pom.xml"
JAVA_NEEDED = 17


def what_is_missing() -> str | None:
    """The reason why it can't run here; None if it can."""
    java = java_version()
    if java is None:
        return "there is no `java` on the PATH"
    if int(java.split(".")[0]) < JAVA_NEEDED:
        return f"`java` is version {java}, Kafka Streams needs {JAVA_NEEDED}"
    if not _folder().exists() and shutil.which("mvn") is None:
        return "there is no `mvn` on the PATH to build it with"
    return None


def version() -> str:
    """The version of Kafka Streams that the pom asks for."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    assert found, "the pom names kafka.version"
    return found[1]


def class_path() -> str:
    """The compiled classes and their jars, built if necessary. Raises `ContenderFailedError`."""
    if missing := what_is_missing():
        raise ContenderFailedError(missing)
    folder = _folder()
    if not folder.exists():
        say("Building the Kafka Streams contender with Maven, once: about 90 MB, half a minute.")
        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = ["mvn", "-B", "-q", "-ntp", "-f", str(POM), f"-Dbuild.folder={unfinished}"]
        result = subprocess.run(
            [*command, "compile", "dependency:copy-dependencies"], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise ContenderFailedError(f"Maven failed:\n{(result.stdout + result.stderr).strip()[-3000:]}")
        unfinished.rename(folder)
    return f"{folder}/classes:{folder}/jars/*"


def _folder() -> Path:
    sources = hashlib.sha256()
    for path in [POM, *sorted(FOLDER.rglob("*.java"))]:
        sources.update(path.read_bytes())
    cache = os.environ.get("HEALTH_TEST_CACHE") or Path.home() / ".cache" / "account-health"
    return Path(cache).resolve() / f"benchmark-kafka-streams-{sources.hexdigest()[:12]}"
