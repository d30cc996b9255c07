"""`serve`: receivers in front, the writer behind, and a checklist for the newcomer. Stops on SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from otel_exporter import bounds, runfile
from otel_exporter.advice import job as advice
from otel_exporter.alerts import Alerting
from otel_exporter.asking import Ask, AskIn, bounded
from otel_exporter.assembly import Assembly, Watchers, assembled
from otel_exporter.books import desk
from otel_exporter.checklist import Checklist
from otel_exporter.cli.sentences import explain
from otel_exporter.endpoint.choices import Bounds
from otel_exporter.endpoint.door import ClickHouseDoor
from otel_exporter.endpoint.engine import Engine
from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.request import Sizes
from otel_exporter.endpoint.users import User, Users
from otel_exporter.failures import Reason, Refused
from otel_exporter.foresight import Foresight
from otel_exporter.health import LOCALHOST, Close, Door
from otel_exporter.identity import Keyring
from otel_exporter.identity.quotas import Limit, Quotas
from otel_exporter.pipeline import Pipeline
from otel_exporter.preview.dashboards import DIRECTORY, Dashboards
from otel_exporter.preview.pages import Pages
from otel_exporter.receivers import Admission, GrpcReceiver, HttpReceiver, Tls, token_hash
from otel_exporter.reloading import Reloading, Written
from otel_exporter.schedule import Job, Scheduler
from otel_exporter.self_monitoring import SelfMonitoring

if TYPE_CHECKING:
    from otel_exporter.config import Settings
    from otel_exporter.config.tree import TlsSettings

log = structlog.get_logger(__name__)
GRACE_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 30.0
Started = Callable[[runfile.Running], None]


class Service:
    """The running service."""

    def __init__(
        self,
        settings: Settings,
        started: Started = lambda _running: None,
        *,
        quiet: bool = False,
        written: Written | None = None,
    ) -> None:
        """A service that has not started.

        Args:
            settings: how it runs.
            started: told where it listens.
            quiet: no checklist.
            written: how `settings` are read again when they change (SIGHUP, or the file does).
        """
        self._settings = settings
        self._written = written
        self._started = started
        self._stop = asyncio.Event()
        self._checklist = Checklist(quiet=quiet)
        self._scheduler = Scheduler()
        self._own = SelfMonitoring(settings.self_monitoring)
        self._reloading: Reloading | None = None

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
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, self._reload))
        with (
            runfile.claim(self._settings.store.data_dir) as claim,
            assembled(self._settings, Watchers(self._checklist, self._own), reconciling=True, patient=True) as parts,
        ):
            async with self._listening(parts, claim.token) as addresses:
                running = claim.publish(addresses)
                log.info("serving", **addresses)
                said = (self._settings.ingest.http, self._settings.clickhouse_http)
                self._checklist.waiting(addresses, *("https" if one.tls.certificate else "http" for one in said))
                self._started(running)
                await self._stop.wait()
                log.info("stopping")

    def stop(self) -> None:
        """Ask the service to stop; from its own event loop."""
        self._stop.set()

    def _reload(self) -> None:
        if self._reloading is not None:
            self._reloading.ask()
            self._scheduler.run_now(self._reloading.job.name)

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
            users = readers(self._settings, parts)
            said = self._settings.health
            pages = (
                Pages(Dashboards(DIRECTORY), _checked(ask, parts, self._settings), _sentence, users)
                if said.dashboards
                else None
            )
            health = Door(
                said,
                ready,
                ask,
                token,
                _sentence,
                pages,
                close=self._closing(parts),
                keys=parts.keys,
                tls=_tls(said.tls),
            )
            addresses = await health.open()
            doors.push_async_callback(health.close)
            addresses |= await self._ask(doors, parts, users)
            writer = _WriterThread(parts)
            writer.start()
            doors.push_async_callback(asyncio.to_thread, writer.stop)
            pipeline.start()
            doors.push_async_callback(asyncio.to_thread, pipeline.stop)
            doors.push_async_callback(asyncio.to_thread, (await asyncio.to_thread(self._schedule, parts, pipeline)))
            addresses |= await self._receive(doors, pipeline, token, parts.keys)
            ready.listening = True
            yield addresses

    def _closing(self, parts: Assembly) -> Close:
        timezone = self._settings.books.timezone
        return lambda period, unfinished: desk.closed(parts, period, timezone, unfinished=unfinished)

    def _schedule(self, parts: Assembly, pipeline: Pipeline) -> Callable[[], None]:
        """Start what is done on a schedule; how to stop it.

        Whoever adds a job makes an `otel_exporter.schedule.Job` and puts it into this list.
        """
        scheduler = self._scheduler
        self._reloading = Reloading(self._settings, parts.attribution, self._written)
        foresight = Foresight(self._settings, parts.store)
        scheduler.start([*self._own.jobs(pipeline), self._reloading.job])
        jobs: list[Job] = foresight.jobs()
        jobs += advice.jobs(self._settings.advice, parts.store, parts.price)
        alerting = None
        if self._settings.alerting.enabled:
            alerting = Alerting(self._settings, parts.store, parts.spool, lambda: scheduler.failing)
            jobs += alerting.jobs()
        parts.prepared.then(lambda: scheduler.start(jobs))  # these ask tables that may not be there yet

        def stop() -> None:
            scheduler.stop(DRAIN_SECONDS)
            if alerting is not None:
                alerting.stop(GRACE_SECONDS)

        return stop

    async def _ask(self, doors: AsyncExitStack, parts: Assembly, users: Users) -> dict[str, str]:
        """ClickHouse's HTTP interface; a ClickHouse server has its own."""
        if not (parts.store.is_embedded and self._settings.clickhouse_http.enabled):
            return {}
        door = clickhouse_door(self._settings, parts, users)
        address = await door.open()
        doors.push_async_callback(door.close)
        return {"clickhouse": address}

    async def _receive(self, doors: AsyncExitStack, pipeline: Pipeline, token: str, keys: Keyring) -> dict[str, str]:
        ingest, identity = self._settings.ingest, self._settings.identity
        tokens = {token_hash(known): tenant for known, tenant in ingest.credentials.items()}
        ours = {token_hash(token): ingest.tenant}
        admission = Admission(
            tokens,
            ingest.max_body_bytes,
            ingest.max_decompressed_bytes,
            ingest.max_in_flight_bytes,
            ingest.tenant,
            max_records=ingest.max_records,
            keys=keys,
            certificates={one.name: one.tenant for one in identity.certificates},
            own=ours,
            quotas=Quotas(Limit(**dict(one)) for one in identity.limits),
        )
        grpc, http = ingest.grpc, ingest.http
        receivers: dict[str, tuple[str, GrpcReceiver | HttpReceiver]] = {
            "grpc": (grpc.host, GrpcReceiver(_address(grpc.host, grpc.port), admission, pipeline, _tls(grpc.tls))),
            "http": (http.host, HttpReceiver(http.host, http.port, admission, pipeline, _tls(http.tls))),
        }
        if http.tls.certificate:  # our own commands have no certificate to show, and no authority to ask
            own = admission.closed_to_all_but({**tokens, **ours})
            receivers["local"] = (LOCALHOST, HttpReceiver(LOCALHOST, 0, own, pipeline))
        addresses = {}
        for name, (host, receiver) in receivers.items():
            addresses[name] = _address(host, await receiver.start())
            doors.push_async_callback(receiver.stop, GRACE_SECONDS)
        return addresses


def readers(settings: Settings, parts: Assembly) -> Users:
    """Who may read through `serve`: users of the configuration everything, a key what is its tenant's."""
    said = settings.clickhouse_http.users
    users = tuple(User(user.name, user.password.reveal(), user.role) for user in said if user.password)
    admit = parts.directory.check_reader if parts.directory else _on_the_server
    return Users(users, parts.keys, admit)


def _checked(ask: AskIn, parts: Assembly, settings: Settings) -> Ask:
    """What pages ask: the SQL is a dashboard's, the values in it are anybody's: it may only read tables."""
    if not parts.store.is_embedded:
        return ask
    engine = Engine(parts.store, _bounds(settings))

    def checked(sql: str, parameters: Mapping[str, str]) -> bytes:
        try:
            engine.check(sql)
        except Fault as fault:
            raise Refused(Reason.FORBIDDEN, fault.text.strip()) from None
        return ask(sql, parameters)

    return checked


def _bounds(settings: Settings) -> Bounds:
    said = settings.clickhouse_http
    return Bounds(said.max_seconds, said.max_memory, said.max_result_bytes)


def _on_the_server(_: str) -> None:
    raise Refused(Reason.FORBIDDEN, "The data are on a ClickHouse server: ask it, as a user with a row policy.")


def clickhouse_door(settings: Settings, parts: Assembly, users: Users) -> ClickHouseDoor:
    """ClickHouse's HTTP interface as the settings say."""
    said, ingest = settings.clickhouse_http, settings.ingest
    bounds = _bounds(settings)
    sizes = Sizes(ingest.max_body_bytes, ingest.max_decompressed_bytes, ingest.max_in_flight_bytes)
    directory = parts.directory
    inserting = partial(directory.admit, ingest.tenant) if directory else (lambda: None)
    engine = Engine(parts.store, bounds)
    return ClickHouseDoor(said.host, said.port, engine, bounds, users, sizes, _tls(said.tls), inserting)


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
        if not self._parts.prepared.is_done and state.name != "stopped":
            why = f": {state.reason}" if state.reason else ""
            return False, [f"ClickHouse is not there yet, what arrives waits in the spool{why}"]
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
