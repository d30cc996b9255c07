"""`serve`: receivers in front, the writer behind, and a checklist for the newcomer. Stops on SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from otel_exporter import bounds, runfile
from otel_exporter.alerts import Alerting
from otel_exporter.asking import bounded
from otel_exporter.assembly import Assembly, assembled
from otel_exporter.checklist import Checklist
from otel_exporter.cli.sentences import explain
from otel_exporter.endpoint.choices import Bounds
from otel_exporter.endpoint.door import ClickHouseDoor
from otel_exporter.endpoint.engine import Engine
from otel_exporter.endpoint.request import Sizes
from otel_exporter.endpoint.users import User, Users
from otel_exporter.foresight import Foresight
from otel_exporter.health import Door
from otel_exporter.pipeline import Pipeline
from otel_exporter.preview.dashboards import DIRECTORY, Dashboards
from otel_exporter.preview.pages import Pages
from otel_exporter.receivers import Admission, GrpcReceiver, HttpReceiver, Tls, token_hash
from otel_exporter.schedule import Job, Scheduler

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from otel_exporter.config import Settings
    from otel_exporter.config.tree import TlsSettings

log = structlog.get_logger(__name__)
LOCALHOST: Final = "127.0.0.1"
GRACE_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 30.0
Started = Callable[[runfile.Running], None]


class Service:
    """The running service."""

    def __init__(self, settings: Settings, started: Started = lambda _running: None, *, quiet: bool = False) -> None:
        self._settings = settings
        self._started = started
        self._stop = asyncio.Event()
        self._checklist = Checklist(quiet=quiet)
        self._scheduler = Scheduler()

    async def run(self) -> None:
        """Serve until stopped, then store everything that was acknowledged.

        Raises:
            AlreadyServing, StoreLocked: another process owns the data directory.
            PortTaken: an address is not free.
            TlsUnusable: TLS files cannot be used.
        """
        bounds.publish(self._settings)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._stop.set)
        with (
            runfile.claim(self._settings.store.data_dir) as claim,
            assembled(self._settings, self._checklist, reconciling=True) as parts,
        ):
            async with self._listening(parts, claim.token) as addresses:
                running = claim.publish(addresses)
                log.info("serving", **addresses)
                scheme = "https" if self._settings.ingest.http.tls.certificate else "http"
                self._checklist.waiting(addresses, scheme)
                self._started(running)
                await self._stop.wait()
                log.info("stopping")

    def stop(self) -> None:
        """Ask the service to stop; from its own event loop."""
        self._stop.set()

    @property
    def jobs(self) -> tuple[str, ...]:
        """What is done on a schedule, by name."""
        return self._scheduler.names

    def run_now(self, *jobs: str) -> None:
        """Run these jobs at once, one after the other, in the caller's thread."""
        self._scheduler.run_now(*jobs)

    @asynccontextmanager
    async def _listening(self, parts: Assembly, token: str) -> AsyncIterator[dict[str, str]]:
        """Open the doors; close them in the order that loses nothing: receivers, pipeline, writer, health."""
        pipeline = Pipeline(parts.commit, parts.spool)
        async with AsyncExitStack() as doors:
            ready = Readiness(parts)
            ask = bounded(parts.store)
            pages = Pages(Dashboards(DIRECTORY), ask, _sentence) if self._settings.health.dashboards else None
            health = Door(self._settings.health, ready, ask, token, _sentence, pages)
            addresses = {"health": await health.open()}
            doors.push_async_callback(health.close)
            addresses |= await self._ask(doors, parts)
            writer = _WriterThread(parts)
            writer.start()
            doors.push_async_callback(asyncio.to_thread, writer.stop)
            pipeline.start()
            doors.push_async_callback(asyncio.to_thread, pipeline.stop)
            doors.push_async_callback(asyncio.to_thread, (await asyncio.to_thread(self._schedule, parts)))
            addresses |= await self._receive(doors, pipeline, token)
            ready.listening = True
            yield addresses

    def _schedule(self, parts: Assembly) -> Callable[[], None]:
        """Start what is done on a schedule; how to stop it.

        Whoever adds a job makes an `otel_exporter.schedule.Job` and puts it into this list.
        """
        scheduler = self._scheduler
        jobs: list[Job] = Foresight(self._settings, parts.store).jobs()
        alerting = None
        if self._settings.alerting.enabled:
            alerting = Alerting(self._settings, parts.store, parts.spool, lambda: scheduler.failing)
            jobs += alerting.jobs()
        scheduler.start(jobs)

        def stop() -> None:
            scheduler.stop(DRAIN_SECONDS)
            if alerting is not None:
                alerting.stop(GRACE_SECONDS)

        return stop

    async def _ask(self, doors: AsyncExitStack, parts: Assembly) -> dict[str, str]:
        """ClickHouse's HTTP interface; a ClickHouse server has its own."""
        if not (parts.store.is_embedded and self._settings.clickhouse_http.enabled):
            return {}
        door = clickhouse_door(self._settings, parts.store)
        address = await door.open()
        doors.push_async_callback(door.close)
        return {"clickhouse": address}

    async def _receive(self, doors: AsyncExitStack, pipeline: Pipeline, token: str) -> dict[str, str]:
        ingest = self._settings.ingest
        tokens = {token_hash(known): tenant for known, tenant in ingest.credentials.items()}
        ours = {**tokens, token_hash(token): ingest.tenant}
        admission = Admission(
            ours if tokens else {},
            ingest.max_body_bytes,
            ingest.max_decompressed_bytes,
            ingest.max_in_flight_bytes,
            ingest.tenant,
        )
        grpc, http = ingest.grpc, ingest.http
        receivers: dict[str, tuple[str, GrpcReceiver | HttpReceiver]] = {
            "grpc": (grpc.host, GrpcReceiver(_address(grpc.host, grpc.port), admission, pipeline, _tls(grpc.tls))),
            "http": (http.host, HttpReceiver(http.host, http.port, admission, pipeline, _tls(http.tls))),
        }
        if http.tls.certificate:  # our own commands have no certificate to show, and no authority to ask
            own = admission.closed_to_all_but(ours)
            receivers["local"] = (LOCALHOST, HttpReceiver(LOCALHOST, 0, own, pipeline))
        addresses = {}
        for name, (host, receiver) in receivers.items():
            addresses[name] = _address(host, await receiver.start())
            doors.push_async_callback(receiver.stop, GRACE_SECONDS)
        return addresses


def clickhouse_door(settings: Settings, store: Store) -> ClickHouseDoor:
    """ClickHouse's HTTP interface as the settings say."""
    said, ingest = settings.clickhouse_http, settings.ingest
    bounds = Bounds(said.max_seconds, said.max_memory, said.max_result_bytes)
    users = Users(tuple(User(user.name, user.password.reveal(), user.role) for user in said.users if user.password))
    sizes = Sizes(ingest.max_body_bytes, ingest.max_decompressed_bytes, ingest.max_in_flight_bytes)
    return ClickHouseDoor(said.host, said.port, Engine(store, bounds), bounds, users, sizes)


class Readiness:
    """Ready means that data move: the receivers listen, the writer has not stopped, and does not fail."""

    def __init__(self, parts: Assembly) -> None:
        self._parts = parts
        self.listening = False

    def __call__(self) -> tuple[bool, Sequence[str]]:
        """Whether data move, and what stands in the way."""
        if not self.listening:
            return False, ["starting"]
        state = self._parts.writer.state
        if state.name in ("stopped", "backing_off"):
            return False, [f"writer {state.name}: {state.reason}"]
        return True, []


class _WriterThread:
    def __init__(self, parts: Assembly) -> None:
        self._parts = parts
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def _run(self) -> None:
        self._parts.writer.run(self._stopped)
        if not self._parts.writer.drain(DRAIN_SECONDS):
            log.warning("not everything is in ClickHouse yet; the spool keeps it", state=self._parts.writer.state.name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, for a while; what ClickHouse does not take now stays in the spool.

        An insert that ClickHouse does not answer is left alone: it is offered again, as it is, after the next start.
        """
        self._stopped.set()
        self._thread.join(DRAIN_SECONDS + GRACE_SECONDS)
        if self._thread.is_alive():
            log.warning("ClickHouse does not answer; the spool keeps what is not known to be there")


def _tls(said: TlsSettings) -> Tls | None:
    if said.certificate is None or said.key is None:
        return None
    return Tls(said.certificate, said.key, said.client_authority)


def _sentence(error: Exception) -> str | None:
    return explain(error)[0]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
