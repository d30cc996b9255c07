"""The ClickHouse HTTP interface: `/`, `/ping`, `/replicas_status`."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import structlog
from aiohttp import web

from otel_exporter.config.tree import is_loopback
from otel_exporter.endpoint import hello
from otel_exporter.endpoint.choices import Bounds, assigned, chosen
from otel_exporter.endpoint.engine import Engine, Question, Reply
from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.request import LARGEST_QUESTION, Asked, Bodies, Sizes, asked, check_database, form
from otel_exporter.endpoint.responses import Sender
from otel_exporter.endpoint.sessions import Session, Sessions
from otel_exporter.endpoint.statements import insert
from otel_exporter.endpoint.users import User, Users
from otel_exporter.failures import Refused
from otel_exporter.receivers.endpoint import PortTaken
from otel_exporter.receivers.listening import Listening, address
from otel_exporter.receivers.tls import Tls, TlsUnusable

log = structlog.get_logger(__name__)
T = TypeVar("T")
_AT_ONCE: Final = 4  # queries side by side
_WAITING: Final = 100  # queries that may wait for their turn
_GRACE: Final = 2.0  # seconds that queries may take to end when the service stops
_STOP_AGAIN: Final = 0.5  # seconds until a query that does not end is told again
_STATE: Final = re.compile(r"\s*(?:SET|USE)\s", re.IGNORECASE)


class ClickHouseDoor:
    """One HTTP server. `open` returns the address it listens on."""

    def __init__(
        self,
        host: str,
        port: int,
        engine: Engine,
        bounds: Bounds,
        users: Users,
        sizes: Sizes,
        tls: Tls | None = None,
        inserting: Callable[[], None] = lambda: None,
    ) -> None:
        self._host, self._port = host, port
        self._listening = Listening(host, port, tls)
        self._inserting = inserting
        self._engine = engine
        self._bounds = bounds
        self._users = users
        self._bodies = Bodies(sizes)
        self._sessions = Sessions()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        #: One thread a query and one to stop it: nobody else's work has to wait for them.
        self._threads = ThreadPoolExecutor(2 * _AT_ONCE, "clickhouse-http")
        self._runner: web.AppRunner | None = None

    async def open(self) -> str:
        """Listen; the ``host:port`` really bound.

        Raises:
            PortTaken: the address cannot be bound.
            TlsUnusable: the TLS files are not what they should be.
        """
        application = web.Application(client_max_size=LARGEST_QUESTION)
        for path in ("/ping", "/replicas_status"):
            application.router.add_get(path, _ok)
        application.router.add_get("/", self._answer)
        application.router.add_post("/", self._answer)
        # A query whose client went away is stopped, so the handler has to be cancelled then.
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, auto_decompress=False, shutdown_timeout=_GRACE
        )
        await self._runner.setup()
        assert self._runner.server is not None
        try:
            return address(*await self._listening.start(self._runner.server))
        except OSError as error:
            await self.close()
            raise PortTaken(f"{self._host}:{self._port}", "the ClickHouse HTTP interface") from error
        except TlsUnusable:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop listening; answers under way get a moment, then their queries are stopped."""
        await self._listening.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.to_thread(self._threads.shutdown)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        sender = Sender(request)
        try:
            self._guard_browser(request)
            user = self._users.known(request.headers, request.query)
            if request.method in ("GET", "HEAD") and not request.query.get("query"):
                return await sender.text("Ok.\n")
            with self._sessions.of(user.name, request.query) as session:
                return await self._reply(request, user, session, sender)
        except Fault as fault:
            return await sender.fault(fault)
        except Exception as error:  # without its text: it may quote what was asked
            log.error("clickhouse_http_failed", error=type(error).__name__)  # noqa: TRY400
            return await sender.fault(Fault(1002, "UNKNOWN_EXCEPTION", "the service failed: see its log"))

    def _guard_browser(self, request: web.Request) -> None:
        """Without passwords, a web page must not get in by a name of its own that means this machine."""
        host = re.sub(r":\d+$", "", request.headers.get("Host", "localhost"))
        if self._users.anybody and is_loopback(self._host) and not is_loopback(host):
            raise Fault(516, "AUTHENTICATION_FAILED", "without users, this is asked as 127.0.0.1 or localhost only")

    async def _reply(self, request: web.Request, user: User, session: Session, sender: Sender) -> web.StreamResponse:
        inserting = user.role == "ingest" and request.method == "POST"
        most = self._bodies.most(inserting=inserting)
        fields = await form(request)  # then nothing is left of the body
        async with self._bodies.read(request, inserting=inserting) as body, self._turn():
            question = await self._thread(lambda: asked(request, fields, body, most))
            settings = chosen(session.settings | dict(question.settings), self._bounds)
            if question.is_insert:
                return await self._insert(user, question, settings, sender, get=request.method != "POST")
            if _STATE.match(question.head):
                return await self._set(question, session, sender)
            if question.head.strip() == hello.QUESTION and request.query.get("client_protocol_version", "0") != "0":
                version = await self._thread(self._engine.version)
                return await sender.whole(hello.answer(version), "Native", {})
            return await self._read(request, question, settings, sender)

    async def _read(
        self, request: web.Request, asked: Asked, settings: Mapping[str, str], sender: Sender
    ) -> web.StreamResponse:
        tag = uuid.uuid4()
        whole = request.query.get("wait_end_of_query") == "1"
        question = Question(asked.sql, asked.format, asked.parameters, settings, whole, tag)
        reply = await self._stoppable(tag, lambda: self._engine.read(question))
        try:
            if reply.ended:
                return await sender.whole(reply.body, reply.format, reply.summary)
            return await sender.stream(reply, lambda: self._stoppable(tag, reply.more))
        finally:
            if not reply.ended:
                await asyncio.shield(self._thread(reply.close))

    async def _insert(
        self, user: User, asked: Asked, settings: Mapping[str, str], sender: Sender, *, get: bool
    ) -> web.StreamResponse:
        if get:
            raise Fault(164, "READONLY", "Cannot execute query in readonly mode. For queries over HTTP, method GET "
                        "implies readonly")  # fmt: skip
        if user.role != "ingest":
            raise Fault(164, "READONLY", f"{user.name}: Cannot execute query in readonly mode")
        head, tag = insert(asked.head), uuid.uuid4()
        try:
            await self._thread(self._inserting)
        except Refused as refused:
            raise Fault(497, "ACCESS_DENIED", f"Not enough privileges: {refused.sentence}") from None
        settings = {**settings, **chosen(head.settings, self._bounds)}
        rows = memoryview(asked.raw)[head.data_at :]
        written = await self._stoppable(tag, lambda: self._engine.insert(head, rows, settings, tag))
        return await sender.whole(b"", "", {"written_rows": written, "written_bytes": len(rows)})

    async def _set(self, asked: Asked, session: Session, sender: Sender) -> web.StreamResponse:
        """`SET` and `USE` are kept in the session; without one they end with the request, as in ClickHouse."""
        sql = asked.sql
        canonical = await self._thread(lambda: self._engine.canonical(sql))
        if canonical.startswith("USE "):
            check_database(canonical.removeprefix("USE ").strip("`"))
        else:
            settings = assigned(canonical)
            chosen(settings, self._bounds)
            session.settings.update(settings)
        return await sender.whole(b"", "", {})

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= _WAITING:
            raise Fault(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries", status=503)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _stoppable(self, tag: uuid.UUID, work: Callable[[], T]) -> T:
        """Do the work in a thread; when its client goes away, stop its query and wait until it has stopped."""
        task = asyncio.ensure_future(self._thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            halting = asyncio.ensure_future(self._halt(tag, task))
            while not halting.done():
                with suppress(asyncio.CancelledError):  # a server that stops cancels twice
                    await asyncio.shield(halting)
            raise

    async def _halt(self, tag: uuid.UUID, task: asyncio.Future[T]) -> None:
        while not task.done():
            with suppress(Fault):
                await self._thread(lambda: self._engine.stop(tag))
            await asyncio.wait([task], timeout=_STOP_AGAIN)
        if task.exception() is None and isinstance(result := task.result(), Reply):
            await self._thread(result.close)


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")
