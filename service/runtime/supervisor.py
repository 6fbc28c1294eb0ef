"""The service's processes side by side: started, started again when one dies, ended in order."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from service.runtime.child_process import ChildProcess, ProcessSpec
from service.runtime.errors import HealthError

log = structlog.get_logger(__name__)

FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
STEADY_SECONDS = 60.0
"""A process that has run this long has overcome whatever it died of before."""
STARTED_SECONDS = 30.0
"""A process that exits by itself without ever having run this long refuses to start."""
STAGE_SECONDS = 10.0
"""The seconds to wait for one stage before the next is asked to stop too."""
BUDGET_SECONDS = 30.0
"""The time limit in seconds for stopping everything; processes that still run then are killed."""

LAST_PORT = 65_535


def process_specs(consumers: int, *, alone: bool = False, probes_port: int = 0) -> list[ProcessSpec]:
    """The processes of a whole service.

    They are stopped from the outside in: first the intake, then scoring, then delivery. Consumers that are `alone` in
    their group have fixed names in it, so that one that is restarted needn't wait until the broker has given up on the
    one that died. From `probes_port` on, each process gets a port for its probes and metrics, in order, the API the
    last; 0 is none. Raises `HealthError` if there aren't that many ports.
    """
    folding = [
        ProcessSpec(name, "consume", 1, (("HEALTH_KAFKA_INSTANCE_ID", name),) if alone else ())
        for name in (f"consume-{number}" for number in range(1, consumers + 1))
    ]
    probed = [
        *folding,
        ProcessSpec("sweep", "sweep", 1),
        ProcessSpec("deliver", "deliver", 2),
        ProcessSpec("api", "api", 0, is_essential=True),
    ]
    if probes_port + len(probed) - 1 > LAST_PORT:
        raise HealthError(
            f"HEALTH_PROBES_PORT {probes_port} leaves room for fewer than {len(probed)} ports", "Set a lower one"
        )
    *others, api = (_with_probes(role, probes_port, at) for at, role in enumerate(probed))
    return [api, *others]


def _with_probes(role: ProcessSpec, first_port: int, place: int) -> ProcessSpec:
    port = first_port + place if first_port else 0
    if port:
        log.info("probes", process=role.name, port=port)
    return replace(role, environment=(*role.environment, ("HEALTH_PROBES_PORT", str(port))))


class StartError(HealthError):
    """An essential process, or the last of all, refuses to start. `log` holds its output, if that went to a file."""

    def __init__(self, role: ProcessSpec, status: int, log: Path | None) -> None:
        """`status` is its exit status."""
        where = f"See {log}" if log else "Its output above says why"
        super().__init__(f"The process {role.name} can't be started (exit status {status})", where)
        self.log = log


class Supervisor:
    """Runs one process per spec until it is asked to stop.

    One that dies, or refuses to start, is restarted after growing waits: the cause may pass, and the others work
    without it. Each restart is logged.
    """

    def __init__(
        self,
        roles: Iterable[ProcessSpec],
        environment: Mapping[str, str],
        *,
        logs: Path | None = None,
        on_restart: Callable[[ProcessSpec, int, float], None] = lambda *_: None,
    ) -> None:
        """`environment` overrides our own. Output goes to one file per process in `logs`, or else where ours goes.

        `on_restart` is called with the process's spec, its exit status and the seconds until it is restarted.
        """
        self._roles = list(roles)
        self._environment = environment
        self._logs = logs
        self._on_restart = on_restart
        self._starting: set[asyncio.Task[ChildProcess]] = set()
        self._running: dict[ProcessSpec, ChildProcess] = {}
        self._refusing: set[ProcessSpec] = set()

    @property
    def pids(self) -> dict[str, int]:
        """Process number by name, of those that run now."""
        return {role.name: worker.pid for role, worker in self._running.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep all processes running until `stop` is set, then stop them; they are gone when this returns.

        Raises `StartError` if an essential one refuses to start, or if all do: then there is nothing left to run, and
        the caller should know. Cancelling this stops them too.
        """
        if stop.is_set():
            return
        keepers = [asyncio.create_task(self._keep(role)) for role in self._roles]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (stopping, *keepers):
                task.cancel()
            await asyncio.gather(stopping, *keepers, return_exceptions=True)
            await self._end()

    async def _keep(self, role: ProcessSpec) -> None:
        wait = FIRST_WAIT
        has_started = False
        while True:
            began = time.monotonic()
            status = await (await self._start(role)).wait()
            del self._running[role]
            lasted = time.monotonic() - began
            has_started = has_started or lasted >= STARTED_SECONDS or status <= 0
            if lasted >= STEADY_SECONDS:
                wait = FIRST_WAIT
            if has_started:
                self._refusing.discard(role)
                log.warning("process_died", name=role.name, status=status, restart_in=wait)
            else:
                self._note_refusal(role, status, wait)
            self._on_restart(role, status, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _note_refusal(self, role: ProcessSpec, status: int, wait: float) -> None:
        self._refusing.add(role)
        if role.is_essential or len(self._refusing) == len(self._roles):
            raise StartError(role, status, self._log_of(role))
        log.error(
            "process_refuses",
            name=role.name,
            status=status,
            restart_in=wait,
            remedy="its last log lines say why; the others continue without it",
        )

    async def _start(self, role: ProcessSpec) -> ChildProcess:
        """Start a process; `_end` learns of it even if the task that started it is cancelled meanwhile."""

        async def start() -> ChildProcess:
            worker = await ChildProcess.start(role, self._environment, log=self._log_of(role))
            self._running[role] = worker
            return worker

        starting = asyncio.create_task(start())
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return await asyncio.shield(starting)

    def _log_of(self, role: ProcessSpec) -> Path | None:
        return self._logs and self._logs / f"{role.name}.log"

    async def _end(self) -> None:
        """Ask one stage after the other to stop; whatever happens meanwhile, leave nothing running."""
        await asyncio.gather(*self._starting, return_exceptions=True)
        ends = {role: asyncio.create_task(worker.wait()) for role, worker in self._running.items()}
        deadline = time.monotonic() + BUDGET_SECONDS
        try:
            for stage in sorted({role.stage for role in ends}):
                members = [role for role in ends if role.stage == stage]
                for role in members:
                    self._running[role].ask_to_stop()
                await asyncio.wait([ends[role] for role in members], timeout=STAGE_SECONDS)
            if ends:
                await asyncio.wait(ends.values(), timeout=max(deadline - time.monotonic(), 0.0))
        finally:
            for role, end in ends.items():
                if not end.done():
                    log.warning("process_killed", name=role.name)
                    self._running[role].kill()
            await asyncio.gather(*ends.values())
            self._running.clear()
