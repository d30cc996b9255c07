"""What a request asks: its statement, parameters, settings and format, from URL, form and body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.packing import too_large, unpacked
from otel_exporter.endpoint.statements import is_insert

#: ClickHouse's max_query_size is 256 KiB; parameters come beside it.
LARGEST_QUESTION: Final = 1 << 20
_PATIENCE: Final = 60.0  # seconds a body may take to arrive
#: Parameters of the HTTP interface itself.
_TRANSPORT: Final = frozenset(
    {"query", "database", "default_format", "user", "password", "session_id", "session_timeout", "session_check",
     "query_id", "quota_key", "compress", "decompress", "wait_end_of_query", "buffer_size", "client_protocol_version",
     "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms"}
)  # fmt: skip
#: Databases a request may work in. `default` is what clients say when nobody told them: ours is meant.
_DATABASES: Final = ("", "otel", "default")


@dataclass(frozen=True)
class Asked:
    """A request as it was sent, unpacked; nothing of it is checked yet but its form.

    ``raw`` is the statement, after an insert with its rows.
    """

    raw: bytes
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    format: str

    @property
    def is_insert(self) -> bool:
        """Whether it begins like an insert."""
        return is_insert(self.head)

    @property
    def head(self) -> str:
        """The beginning, as Latin-1: places in it are places in ``raw``."""
        return self.raw[:65_536].decode("latin-1")

    @property
    def sql(self) -> str:
        """A statement without rows.

        Raises:
            Fault: it is not UTF-8.
        """
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            raise Fault(62, "SYNTAX_ERROR", "the query is not UTF-8 text") from None


@dataclass(frozen=True)
class Sizes:
    """Bytes of bodies: of one as sent, of one unpacked, of all that are held at once."""

    body: int
    unpacked: int
    in_flight: int


class Bodies:
    """Reads bodies, and holds no more of them than the sizes say. Belongs to one event loop."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._held = 0

    def most(self, *, inserting: bool) -> int:
        """The most bytes a body may have once unpacked."""
        return self._sizes.unpacked if inserting else LARGEST_QUESTION

    @asynccontextmanager
    async def read(self, request: web.Request, *, inserting: bool) -> AsyncIterator[bytes]:
        """The body as sent. Its bytes are held from when they arrive until the block ends.

        Raises:
            Fault: too large, too slow, or no room for it now (202, 503).
        """
        pieces: list[bytes] = []
        try:
            await self._collect(request, pieces, self._sizes.body if inserting else LARGEST_QUESTION)
            yield b"".join(pieces)
        finally:
            self._held -= sum(map(len, pieces))

    async def _collect(self, request: web.Request, pieces: list[bytes], most: int) -> None:
        if (request.content_length or 0) > most:
            raise too_large(most)
        size = 0
        try:
            async with asyncio.timeout(_PATIENCE):
                async for piece in request.content.iter_chunked(1 << 18):
                    pieces.append(piece)
                    size += len(piece)
                    self._hold(len(piece))
                    if size > most:
                        raise too_large(most)
        except TimeoutError:
            raise Fault(209, "SOCKET_TIMEOUT", "the request's body does not arrive") from None

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._sizes.in_flight:
            raise Fault(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many requests: ask again later", status=503)


async def form(request: web.Request) -> dict[str, str]:
    """The fields of a multipart form, in which clients send long parameters; none for any other request.

    Raises:
        Fault: too large, or with files (external tables), which are not supported.
    """
    if request.content_type != "multipart/form-data":
        return {}
    try:
        sent = await request.post()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(LARGEST_QUESTION) from None
    except ValueError:
        raise Fault(36, "BAD_ARGUMENTS", "the multipart form cannot be read") from None
    fields = {name: value for name, value in sent.items() if isinstance(value, str)}
    if len(fields) < len(sent):
        raise Fault(48, "NOT_IMPLEMENTED", "external tables are not supported here")
    return fields


def asked(request: web.Request, fields: Mapping[str, str], body: bytes, most: int) -> Asked:
    """Put the request together: the `query` parameter, then the body, as ClickHouse does. Unpacks, so not quick.

    Raises:
        Fault: damaged, too large, another database, a format without a name.
    """
    named = {**request.query, **fields}
    encoding = request.headers.get("Content-Encoding", "")
    body = unpacked(body, encoding, native=request.query.get("decompress") == "1", most=most)
    statement = named.get("query", "").encode()
    raw = statement + b"\n" + body if statement and body else statement or body
    parameters = {name.removeprefix("param_"): value for name, value in named.items() if name.startswith("param_")}
    settings = {
        name: value for name, value in request.query.items() if name not in _TRANSPORT and not name.startswith("param_")
    }
    check_database(named.get("database", "") or request.headers.get("X-ClickHouse-Database", ""))
    fmt = named.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
    if not (fmt.isascii() and fmt.isalnum()):
        raise Fault(73, "UNKNOWN_FORMAT", "Unknown format")
    return Asked(raw, parameters, settings, fmt)


def check_database(name: str) -> None:
    """Raise Fault unless a request may work in this database."""
    if name not in _DATABASES:
        raise Fault(497, "ACCESS_DENIED", "Not enough privileges: work in the database otel; name others in the SQL")
