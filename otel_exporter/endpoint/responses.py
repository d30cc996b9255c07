"""Answers as ClickHouse's HTTP interface gives them: headers, compression, streams, failures in the middle of one."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from otel_exporter.endpoint.engine import Reply
from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.packing import packer

_PATIENCE: Final = 60.0  # seconds a client may take to receive one piece
_LONGEST_ID: Final = 256
_TYPES: Final = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
}


class Sender:
    """Answers one request."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._began = time.monotonic_ns()
        query_id = request.query.get("query_id", "")
        if not query_id or not query_id.isprintable() or len(query_id) > _LONGEST_ID:
            query_id = str(uuid.uuid4())
        self._headers = {
            "X-ClickHouse-Server-Display-Name": "tokentide",
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Timezone": "UTC",
        }
        accepted = request.headers.get("Accept-Encoding", "")
        if request.query.get("enable_http_compression") == "0":
            accepted = ""
        self._coding, self._packer = packer(accepted, native=request.query.get("compress") == "1")

    async def text(self, text: str) -> web.StreamResponse:
        """A short text."""
        return web.Response(text=text, headers=self._headers)

    async def fault(self, fault: Fault) -> web.StreamResponse:
        """A refusal or failure before anything of the answer was sent."""
        response = web.Response(text=fault.text, status=fault.status, headers=self._headers)
        response.headers["X-ClickHouse-Exception-Code"] = str(fault.code)
        return response

    async def whole(self, body: bytes, fmt: str, summary: Mapping[str, int]) -> web.StreamResponse:
        """An answer that is complete; ``fmt`` is empty when there is none (insert, SET)."""
        headers = self._answer_headers(fmt, summary)
        if body:
            packed = self._packer
            body = await asyncio.to_thread(lambda: packed.compress(body) + packed.flush())
        else:
            headers.pop("Content-Encoding", None)
        return web.Response(body=body, headers=headers)

    async def stream(self, reply: Reply, more: Callable[[], Awaitable[bytes]]) -> web.StreamResponse:
        """An answer that goes on: what there is of it, then what ``more`` gives until that is empty."""
        tag = secrets.token_hex(8)
        headers = self._answer_headers(reply.format, reply.summary) | {"X-ClickHouse-Exception-Tag": tag}
        response = web.StreamResponse(headers=headers)
        try:
            await response.prepare(self._request)
            failure = await self._pieces(response, reply.body, more)
            await self._write(response, _framed(failure, tag) if failure else b"", last=True)
            if failure is None:
                await response.write_eof()
                return response
        except (TimeoutError, ConnectionError):  # nobody reads any more
            pass
        self._hang_up()
        return response

    async def _pieces(
        self, response: web.StreamResponse, piece: bytes, more: Callable[[], Awaitable[bytes]]
    ) -> Fault | None:
        """Send all there is; what stopped it, if anything did. The headers have gone, so nothing may be raised."""
        try:
            while piece:
                await self._write(response, piece)
                piece = await more()
        except Fault as fault:
            return fault
        return None

    async def _write(self, response: web.StreamResponse, piece: bytes, *, last: bool = False) -> None:
        packed = await asyncio.to_thread(self._packer.compress, piece)
        if last:
            packed += self._packer.flush()
        if packed:
            async with asyncio.timeout(_PATIENCE):
                await response.write(packed)

    def _hang_up(self) -> None:
        """Close without the end of the body, so that nobody takes the answer for whole."""
        if self._request.transport is not None:
            self._request.transport.close()

    def _answer_headers(self, fmt: str, summary: Mapping[str, int]) -> dict[str, str]:
        counted = dict.fromkeys(("read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows",
                                 "result_bytes"), 0)  # fmt: skip
        counted |= {**summary, "elapsed_ns": time.monotonic_ns() - self._began}
        headers = self._headers | {
            "Content-Type": _TYPES.get(fmt, "text/plain; charset=UTF-8"),
            "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in counted.items()}),
        }
        if fmt:
            headers["X-ClickHouse-Format"] = fmt
        if self._coding:
            headers["Content-Encoding"] = self._coding
        return headers


def _framed(fault: Fault, tag: str) -> bytes:
    """A failure in the middle of an answer, as ClickHouse writes it since 25.11."""
    text = fault.text.encode()[: 16_384 - 200]
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
