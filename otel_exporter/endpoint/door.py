"""The ClickHouse HTTP interface: `/`, `/ping`, `/replicas_status`."""

from __future__ import annotations

import asyncio
import gzip
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import lz4.frame
from aiohttp import web

from otel_exporter.endpoint.engine import IGNORED, Engine
from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.statements import insert, is_insert
from otel_exporter.endpoint.users import User, Users

T = TypeVar("T")
_AT_ONCE: Final = 4  # queries side by side
#: Parameters of the HTTP interface itself.
_TRANSPORT: Final = frozenset(
    {"query", "database", "default_format", "user", "password", "session_id", "session_timeout", "session_check",
     "query_id", "quota_key", "compress", "decompress", "wait_end_of_query", "buffer_size", "client_protocol_version",
     "role", "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms"}
)  # fmt: skip
_UNPACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
}
_PACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "lz4": lz4.frame.compress,
    "gzip": lambda body: gzip.compress(body, 1),
    "deflate": lambda body: zlib.compress(body, 1),
}


@dataclass(frozen=True)
class _Question:
    text: str
    raw: bytes
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    format: str


class ClickHouseDoor:
    """One HTTP server. `open` returns the address it listens on."""

    def __init__(self, host: str, port: int, engine: Engine, users: Users, max_body_bytes: int) -> None:
        self._host, self._port = host, port
        self._engine = engine
        self._users = users
        self._max_body_bytes = max_body_bytes
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._runner: web.AppRunner | None = None

    async def open(self) -> str:
        """Listen; the ``host:port`` really bound.

        Raises:
            OSError: the address cannot be bound.
        """
        application = web.Application(client_max_size=self._max_body_bytes)
        for path in ("/ping", "/replicas_status"):
            application.router.add_get(path, _ok)
        application.router.add_get("/", self._answer)
        application.router.add_post("/", self._answer)
        # A query whose client went away is stopped, so the handler has to be cancelled then.
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        host, port = self._runner.addresses[0][:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def close(self) -> None:
        """Stop listening, after the answers under way."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        try:
            response = await self._reply(request)
        except Fault as fault:
            response = web.Response(text=fault.text, status=fault.status)
            response.headers["X-ClickHouse-Exception-Code"] = str(fault.code)
        response.headers["X-ClickHouse-Query-Id"] = query_id if query_id.isprintable() else "?"
        response.headers["X-ClickHouse-Timezone"] = "UTC"
        response.headers["X-ClickHouse-Server-Display-Name"] = "tokentide"
        return response

    async def _reply(self, request: web.Request) -> web.Response:
        user = self._users.known(request.headers, request.query)
        if not request.query.get("query") and request.method == "GET":
            return web.Response(text="Ok.\n")
        question = await _question(request)
        if is_insert(question.text):
            return await self._insert(user, question)
        tag = str(uuid.uuid4())
        read = self._engine.read
        arguments = (question.text, question.format, question.parameters, question.settings, tag)
        answer = await self._bounded(tag, lambda: read(*arguments))
        return _packed(request, answer.body, answer.format)

    async def _insert(self, user: User, question: _Question) -> web.Response:
        if user.role != "ingest":
            raise Fault(164, "READONLY", "default: Cannot execute query in readonly mode")
        tag, head = str(uuid.uuid4()), insert(question.text)
        rows = question.raw[len(question.text[: head.data_at].encode("latin-1")) :]
        await self._bounded(tag, lambda: self._engine.insert(head, rows, question.settings, tag))
        return web.Response(headers={"X-ClickHouse-Summary": "{}"})

    async def _bounded(self, tag: str, work: Callable[[], T]) -> T:
        """Do the work in a thread; when its client goes away, stop it and wait until it has stopped."""
        async with self._slots:
            task = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.to_thread(self._engine.stop, tag)
                await asyncio.wait([task])
                task.exception()  # QUERY_WAS_CANCELLED, which nobody waits for
                raise


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _question(request: web.Request) -> _Question:
    """The statement (and rows after it) is the `query` parameter followed by the body, as in ClickHouse.

    Texts are read as Latin-1 to find where rows begin, which keeps every byte; a reading statement is UTF-8.
    """
    named = dict(request.query)
    if request.content_type == "multipart/form-data":
        form = await request.post()
        named |= {name: value for name, value in form.items() if isinstance(value, str)}
        body = b""
    else:
        body = _unpacked(request, await request.read())
    asked = named.get("query", "").encode()
    raw = asked + (b"\n" if asked and body else b"") + body
    text = raw.decode("latin-1") if is_insert(raw[:100].decode("latin-1")) else _utf8(raw)
    parameters = {name.removeprefix("param_"): value for name, value in named.items() if name.startswith("param_")}
    settings = {
        name: value
        for name, value in request.query.items()
        if name not in _TRANSPORT and name not in IGNORED and not name.startswith("param_")
    }
    fmt = named.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
    if not (fmt.isascii() and fmt.isalnum()):
        raise Fault(73, "UNKNOWN_FORMAT", "Unknown format")
    return _Question(text, raw, parameters, settings, fmt)


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Fault(62, "SYNTAX_ERROR", "the query is not UTF-8 text") from None


def _unpacked(request: web.Request, body: bytes) -> bytes:
    if request.query.get("decompress") == "1" or request.query.get("compress") == "1":
        raise Fault(48, "NOT_IMPLEMENTED", "native compressed blocks are not supported yet: use Content-Encoding")
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding == "identity":
        return body
    if encoding not in _UNPACK:
        raise Fault(48, "NOT_IMPLEMENTED", "this Content-Encoding is not supported")
    try:
        return _UNPACK[encoding](body)
    except (OSError, EOFError, RuntimeError, zlib.error):
        raise Fault(354, "ZLIB_INFLATE_FAILED", "the body cannot be decompressed") from None


def _packed(request: web.Request, body: bytes, fmt: str) -> web.Response:
    response = web.Response(headers={"X-ClickHouse-Format": fmt, "X-ClickHouse-Summary": "{}"})
    accepted = request.headers.get("Accept-Encoding", "")
    encoding = next((name for name in _PACK if name in accepted), None)
    if encoding and body and request.query.get("enable_http_compression") == "1":
        response.headers["Content-Encoding"] = encoding
        body = _PACK[encoding](body)
    response.body = body
    return response
