"""Who is measured: how each is started, where it takes OTLP/gRPC, and how many spans it has stored."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import ClassVar, Final

import clickhouse_connect
import yaml

from benchmarks.peers import engine
from benchmarks.process import Process, free_port, listens

ROOT: Final = Path(__file__).parents[2]
#: Where `install.sh` puts what comes from PyPI.
INSTALLED: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokentide-peers"
_PARTS: Final = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'otel'"


class NotInstalled(Exception):
    """This peer is not on this machine; the text says how to get it."""


class Contender(ABC):
    """One life after another of a contender over one folder. ``processes`` are alive: role to process."""

    name: ClassVar[str]

    def __init__(self, folder: Path, content_policy: str) -> None:
        self.folder, self.content_policy = folder, content_policy
        self.port = free_port()
        self.processes: dict[str, Process] = {}

    @abstractmethod
    def start(self) -> None:
        """Start what is not running, and wait until it takes requests."""

    @abstractmethod
    def stored(self) -> int:
        """Spans that can be read back."""

    @abstractmethod
    def disk_bytes(self) -> int:
        """Bytes of what is stored, indexes and all."""

    def kill(self) -> None:
        """SIGKILL for who takes requests; a database of its own lives on."""
        self.processes.pop("receiver").kill()

    def stop(self) -> None:
        """End everything."""
        for role in list(self.processes):
            self.processes.pop(role).stop()


class Ours(Contender):
    """`tokentide serve` as it comes, everything on: ClickHouse is in its process."""

    name = "tokentide"

    def start(self) -> None:
        """One process."""
        self._clickhouse = free_port()
        command = [sys.executable, "-m", "otel_exporter.cli", "serve", "--data-dir", str(self.folder / "data")]
        command += ["--grpc-port", str(self.port), "--http-port", "0", "--health-port", "0"]
        command += ["--clickhouse-port", str(self._clickhouse)]
        policy = {"TOKENTIDE_CONTENT__POLICY": self.content_policy}
        process = self.processes["receiver"] = Process(command, self.folder / "tokentide.log", policy)
        process.wait_for(lambda: listens(self.port) and listens(self._clickhouse))

    def stored(self) -> int:
        """Rows of otel_traces."""
        return self._ask("SELECT count() FROM otel_traces")

    def disk_bytes(self) -> int:
        """Of every table: spans, messages, the ledger and its rollups."""
        return self._ask(_PARTS)

    def _ask(self, sql: str) -> int:
        return _asked(f"127.0.0.1:{self._clickhouse}", "default", "", sql)


class InClickHouse(Contender):
    """A receiver that writes into the engine of `benchmarks.peers.engine`."""

    tables: str = "collector"

    def start(self) -> None:
        """The engine, once, and the receiver."""
        if "engine" not in self.processes:
            log = self.folder / "engine.log"
            command = [sys.executable, "-m", "benchmarks.peers.engine", str(self.folder / "data"), self.tables]
            process = self.processes["engine"] = Process(command, log)
            process.wait_for(lambda: log.read_text().startswith("127.0.0.1:"))
            self._address = log.read_text().split()[0]
        process = self.processes["receiver"] = Process(
            self.command(self._address), self.folder / f"{self.name}.log", {"GOMAXPROCS": "2"}
        )
        process.wait_for(lambda: listens(self.port))

    @abstractmethod
    def command(self, clickhouse: str) -> list[str]:
        """How the receiver is started; ``clickhouse`` is the engine's host and port."""

    def stored(self) -> int:
        """Rows of otel_traces."""
        return _asked(self._address, engine.USER, engine.PASSWORD, "SELECT count() FROM otel_traces")

    def disk_bytes(self) -> int:
        """Of every table; the others are empty."""
        return _asked(self._address, engine.USER, engine.PASSWORD, _PARTS)


class Collector(InClickHouse):
    """The Collector with the batch size its exporter's documentation recommends."""

    name = "collector"

    def command(self, clickhouse: str) -> list[str]:
        """`otelcol --config`."""
        configuration = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "processors": {"batch": {"timeout": "1s", "send_batch_size": 100_000}},
            "exporters": {
                "clickhouse": {
                    "endpoint": f"http://{clickhouse}",
                    "username": engine.USER,
                    "password": engine.PASSWORD,
                    "database": "otel",
                    "create_schema": False,
                    "timeout": "60s",
                }
            },
            "service": {
                "pipelines": {"traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["clickhouse"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        file = self.folder / "otelcol.yaml"
        file.write_text(yaml.safe_dump(configuration))
        return [str(_collector()), "--config", str(file)]


class Rotel(InClickHouse):
    """rotel's agent as it comes, but for the largest batch it documents."""

    name = "rotel"

    def command(self, clickhouse: str) -> list[str]:
        """`rotel-agent start`."""
        found = sorted((INSTALLED / self.name).glob("lib/python*/site-packages/rotel/rotel-agent"))
        if not found:
            raise NotInstalled(f"benchmarks/peers/install.sh {self.name}")
        options = {
            "--otlp-grpc-endpoint": f"127.0.0.1:{self.port}",
            "--otlp-http-endpoint": f"127.0.0.1:{free_port()}",
            "--exporter": "clickhouse",
            "--clickhouse-exporter-endpoint": f"http://{clickhouse}",
            "--clickhouse-exporter-database": "otel",
            "--clickhouse-exporter-table-prefix": "otel",
            "--clickhouse-exporter-user": engine.USER,
            "--clickhouse-exporter-password": engine.PASSWORD,
            "--batch-max-size": "65536",
            "--batch-timeout": "1s",
        }
        return [str(found[-1]), "start", *(word for pair in options.items() for word in pair)]


class Phoenix(Contender):
    """`phoenix serve` with its default database, SQLite, in its process."""

    name = "phoenix"

    def start(self) -> None:
        """One process."""
        command = INSTALLED / self.name / "bin" / "phoenix"
        if not command.exists():
            raise NotInstalled(f"benchmarks/peers/install.sh {self.name}")
        http = free_port()
        variables = {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(http),
            "PHOENIX_GRPC_PORT": str(self.port),
            "PHOENIX_WORKING_DIR": str(self.folder),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        process = self.processes["receiver"] = Process([str(command), "serve"], self.folder / "phoenix.log", variables)
        process.wait_for(lambda: listens(self.port) and listens(http))

    def stored(self) -> int:
        """Rows of its table."""
        with closing(sqlite3.connect(f"file:{self.folder / 'phoenix.db'}?mode=ro", uri=True, timeout=60)) as database:
            return int(database.execute("SELECT count(*) FROM spans").fetchone()[0])

    def disk_bytes(self) -> int:
        """Of the database with its journal."""
        return sum(file.stat().st_size for file in self.folder.glob("phoenix.db*"))


PEERS: Final[dict[str, type[Contender]]] = {each.name: each for each in (Collector, Rotel, Phoenix)}


def _collector() -> Path:
    """The binary that the tests use, built when Go is there."""
    if not os.environ.get("TEST_OTELCOL") and shutil.which("go") is None:
        raise NotInstalled("apt-get install golang-go && deploy/collector/build.sh")
    made = subprocess.run([ROOT / "deploy/collector/build.sh"], capture_output=True, text=True, check=False)
    if made.returncode:
        raise NotInstalled(f"deploy/collector/build.sh fails: {made.stderr[-500:]}")
    return Path(made.stdout.strip())


def _asked(address: str, user: str, password: str, sql: str) -> int:
    host, _, port = address.partition(":")
    with closing(
        clickhouse_connect.get_client(host=host, port=int(port), username=user, password=password, database="otel")
    ) as client:
        return int(client.query(sql).result_rows[0][0] or 0)
