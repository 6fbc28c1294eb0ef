"""A real Apache Kafka: one KRaft node, broker and controller in one process."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL

from service.embedded.broker import answers
from service.embedded.ports import free_port
from service.embedded.server import Server
from service.runtime.errors import HealthError
from tests.support.kafka_jars import Announce, jars, kafka_version, to_stderr, what_is_missing

CLUSTER_ID = "MkU3OEVBNTctOEUyRi00QQ"
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",  # 128 MB by default: a third of the heap, for no use
    # One node, so one replica; few partitions, so quick starts.
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    # Tests don't wait for members that may still come, and notice dead ones soon.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # A topic that nobody created is a mistake, and records of last year are not rubbish.
    "auto.create.topics.enable": "false",
    "log.retention.ms": "-1",
}


class ApacheKafka(Server):
    """Apache Kafka in a folder of its own. `kill` and `start` make a crash: acknowledged records stay."""

    patience = 120.0  # a start takes 3 s of processor time; machines that run tests may be busy

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        heap: str = "384m",
        quick: bool = True,
        settings: Mapping[str, str] | None = None,
        announce: Announce = to_stderr,
    ) -> None:
        """See `Server`. `quick` starts in half the time; without it long work gets faster.

        `settings` override the broker's own; `announce` is called when jars must be fetched.
        """
        super().__init__(data_dir, port)
        self._java_options = [f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        if quick:
            self._java_options.append("-XX:TieredStopAtLevel=1")
        self._controller_port = free_port()
        self._settings = SETTINGS | dict(settings or {})
        self._announce = announce
        self.listeners: dict[str, str] = {}
        """Listeners beside the plain one and the controller's, with their addresses."""
        self._format_options: list[str] = []

    @property
    def address(self) -> str:
        """`host:port` for `bootstrap_servers`."""
        return f"127.0.0.1:{self.port}"

    @property
    def version(self) -> str:
        """The version of Apache Kafka."""
        return kafka_version()

    def _launch(self) -> None:
        if why := what_is_missing():
            raise HealthError(f"Apache Kafka can't run here: {why}", "Install Java 17 and Maven")
        properties = self._write_properties()
        java = ["java", *self._java_options, "-cp", f"{jars(self._announce)}/*"]
        self._format(java, properties)
        # A killed run needs nothing of its tests' data, so there is no need to wait.
        broker = self._spawn(
            "Apache Kafka", [*java, _log_level("warn"), "kafka.Kafka", str(properties)], farewell=SIGKILL
        )
        broker.wait_until(lambda: answers(self.port), self.patience)

    def _write_properties(self) -> Path:
        plain = {"PLAINTEXT": self.address, "CONTROLLER": f"127.0.0.1:{self._controller_port}"}
        places = {
            "listeners": ",".join(f"{name}://{address}" for name, address in (plain | self.listeners).items()),
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "log.dirs": str(self.folder / "data"),
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in (self._settings | places).items()))
        return path

    def _format(self, java: list[str], properties: Path) -> None:
        if (self.folder / "data" / "meta.properties").exists():
            return
        tool = [_log_level("off"), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)]
        tool += self._format_options
        result = subprocess.run([*java, *tool], capture_output=True, text=True, check=False)
        if result.returncode:
            raise HealthError("Apache Kafka could not format its storage", result.stdout + result.stderr)


def _log_level(level: str) -> str:
    return f"-Dorg.slf4j.simpleLogger.defaultLogLevel={level}"
