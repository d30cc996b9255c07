"""The processes of the test, each kept alive by a supervisor, as systemd or Kubernetes would."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.process import free_port
from otel_exporter.failpoints import VARIABLE
from tests.crash.engine import Engine
from tests.e2e.collector import Collector
from tests.e2e.house import TOKENTIDE, outside

TOKEN: Final = "ledger-test"
_RESTART: Final = 0.3  # seconds after which a supervisor starts what has died
_SMALL: Final = "48m"  # the size of a disk that can be filled


class Receiver:
    """`tokentide serve` over one data directory and one ClickHouse URL; whenever it dies it is started again."""

    def __init__(self, name: str, data_dir: Path, url: str, **variables: str) -> None:
        self.name, self.data_dir = name, data_dir
        self.grpc, self.http, self.health = free_port(), free_port(), free_port()
        self.starts = 0
        self._url, self._variables = url, variables
        self._log = data_dir.parents[1] / f"{name}.log"  # not on the disk that is filled
        self._failpoint = ""
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor = threading.Thread(target=self._supervise, name=f"supervisor-{name}")

    def start(self) -> Receiver:
        """Start it; it is ready when it is."""
        self._supervisor.start()
        return self

    @property
    def pid(self) -> int:
        """The process that lives now, or lived last."""
        assert self._process is not None
        return self._process.pid

    def kill(self, then_at: str = "") -> None:
        """SIGKILL; the next life kills itself when it gets to the point ``then_at``."""
        self._failpoint = then_at
        if self._process is not None:
            self._process.kill()

    def terminate(self) -> None:
        """SIGTERM: as a rolling update does."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """For good: SIGTERM, then SIGKILL."""
        self._stopping.set()
        self._supervisor.join()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def ready(self) -> bool:
        """`/readyz`."""
        return self.get("/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """A metric without labels, or the sum over its labels."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(map(float, found))

    def get(self, path: str) -> tuple[int, str]:
        """Ask its health address; (0, '') when it is not there."""
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.health, timeout=20)) as connection:
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""

    def spooled(self) -> int:
        """Files that are acknowledged and not yet in ClickHouse."""
        folders = (self.data_dir / "spool" / name for name in ("segments", "batches"))
        return sum(1 for folder in folders if folder.exists() for _ in folder.iterdir())

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            if self._process is None or self._process.poll() is not None:
                self._launch()
            self._stopping.wait(_RESTART)

    def _launch(self) -> None:
        ports = ("--grpc-port", self.grpc, "--http-port", self.http, "--health-port", self.health)
        failpoint, self._failpoint = self._failpoint, ""
        known = {VARIABLE: failpoint} | self._variables
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [TOKENTIDE, "serve", "--data-dir", str(self.data_dir), "--clickhouse-url", self._url,
                 *map(str, ports)],
                cwd=self.data_dir.parent, env=outside(**known), stdout=log, stderr=log,
            )  # fmt: skip
        self.starts += 1


class Disk:
    """A disk of its own for one receiver, that can be filled: a small tmpfs where that may be mounted.

    Elsewhere files may not grow while it is "full" (RLIMIT_FSIZE): the same refusal at another place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        mounted = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL}", "tmpfs", str(path)]
        self.is_own = os.geteuid() == 0 and subprocess.run(mounted, capture_output=True, check=False).returncode == 0

    def fill(self, pid: int) -> None:
        """No room any more."""
        if not self.is_own:
            _limit(pid, 4096)
            return
        with contextlib.suppress(OSError), (self.path / "filler").open("wb", buffering=0) as file:
            while file.write(b"\0" * 65536) == 65536:
                pass

    def free(self, pid: int) -> None:
        """Room again."""
        if self.is_own:
            (self.path / "filler").unlink(missing_ok=True)
        else:
            _limit(pid, resource.RLIM_INFINITY)

    def close(self) -> None:
        """Give it back."""
        if self.is_own:
            subprocess.run(["umount", "-l", str(self.path)], check=False)


def _limit(pid: int, size: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Town:
    """One ClickHouse, receivers that post to it, perhaps a Collector in front of the first of them."""

    def __init__(self, folder: Path, receivers: int, otelcol: Path | None, **variables: str) -> None:
        self.engine = Engine(folder / "clickhouse", free_port())
        self.disks = [Disk(folder / f"disk{n}") for n in range(receivers)]
        self.receivers = [
            Receiver(f"receiver{n}", disk.path / "data", self.engine.url, **variables)
            for n, disk in enumerate(self.disks)
        ]
        self.collector: Collector | None = None
        if otelcol is not None:
            retry = {"retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s"}}
            self.collector = Collector(
                otelcol, folder / "otelcol", more={"exporters": {"otlp_grpc": retry}},
                TOKENTIDE_ENDPOINT=f"http://127.0.0.1:{self.receivers[0].grpc}",
            )  # fmt: skip

    def start(self, patience: float = 120.0) -> None:
        """Everything runs and is ready."""
        self.engine.start()
        for receiver in self.receivers:
            receiver.start()
        if self.collector is not None:
            self.collector.start()
        wait(lambda: all(receiver.ready() for receiver in self.receivers), patience, "the receivers are not ready")

    def stop(self) -> None:
        """Nothing runs any more."""
        for receiver in self.receivers:
            receiver.stop()
        if self.collector is not None:
            self.collector.kill()
        with contextlib.suppress(ProcessLookupError):
            self.engine.signal(signal.SIGCONT)
        self.engine.kill()
        for disk in self.disks:
            disk.close()


@contextmanager
def town(folder: Path, receivers: int, otelcol: Path | None, **variables: str) -> Iterator[Town]:
    """A town that runs, and is gone afterwards."""
    made = Town(folder, receivers, otelcol, **variables)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def wait(until: object, patience: float, otherwise: str) -> None:
    """Ask until the answer is true; AssertionError when patience ends."""
    assert callable(until)
    end = time.monotonic() + patience
    while not until():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)
