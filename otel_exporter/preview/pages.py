"""The pages and what they ask for, on the health address: `/` and `/d/<uid>`.

Without a key file only for browsers of this machine, under a name of this machine: a page elsewhere that lets its name
point here (DNS rebinding) asks with its own name in `Host`. With a key file for whoever shows a key to query (browsers
ask for it as a password) or is a user of ClickHouse's HTTP interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from grafana.macros import MacroError
from otel_exporter.config.tree import is_loopback
from otel_exporter.endpoint.faults import Fault
from otel_exporter.endpoint.users import Users
from otel_exporter.preview.dashboards import Dashboards, Unknown
from otel_exporter.preview.question import Malformed, question

Ask = Callable[[str, Mapping[str, str]], bytes]
Explain = Callable[[Exception], str | None]

_STATIC: Final = Path(__file__).with_name("static")
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_AT_ONCE: Final = 3  # queries side by side
_MOST_ROWS: Final = 50_000
_POLICY: Final = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Pages:
    """The routes of the preview."""

    def __init__(self, dashboards: Dashboards, ask: Ask, explain: Explain, users: Users | None = None) -> None:
        self._users = users or Users()
        self._dashboards = dashboards
        self._ask = ask
        self._explain = explain
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve them."""
        router.add_get("/", self._guarded(_index))
        router.add_get("/d/{uid}", self._guarded(_index))
        router.add_get("/preview/plotly.js", self._guarded(_plotly))
        router.add_get("/preview/static/{name}", self._guarded(_static))
        router.add_get("/preview/dashboards", self._guarded(self._menu))
        router.add_get("/preview/dashboards/{uid}", self._guarded(self._dashboard))
        router.add_post("/preview/query", self._guarded(self._query))

    def _guarded(self, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            denied = self._denied(request)
            if denied is not None:
                return denied
            response: web.StreamResponse = await handler(request)
            response.headers.update(_POLICY)
            return response

        return guarded

    def _denied(self, request: web.Request) -> web.Response | None:
        """What to answer to somebody who may not look."""
        if not self._users.keyed:
            local = urlsplit(f"//{request.host}").hostname in _LOCAL_NAMES and is_loopback(request.remote or "")
            return None if local else _error(403, "the dashboards are shown on this machine only")
        try:
            self._users.known(request.headers, {})
        except Fault as fault:
            if fault.name != "AUTHENTICATION_FAILED":
                return _error(403, fault.text.strip())
            response = _error(401, "the dashboards need a key with the scope query, as the password")
            response.headers["WWW-Authenticate"] = 'Basic realm="tokentide", charset="UTF-8"'
            return response
        return None

    async def _menu(self, _: web.Request) -> web.StreamResponse:
        return web.json_response([{"uid": each.uid, "title": each.model["title"]} for each in self._dashboards])

    async def _dashboard(self, request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(self._dashboards[request.match_info["uid"]].model)
        except Unknown as error:
            return _error(404, str(error))

    async def _query(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = question(await request.json())
            sql = asked.sql(self._dashboards)
        except (Malformed, MacroError, ValueError) as error:
            return _error(400, str(error))
        except Unknown as error:
            return _error(404, str(error))
        async with self._slots:
            return await self._answer(sql)

    async def _answer(self, sql: str) -> web.StreamResponse:
        try:
            answer = await asyncio.to_thread(self._ask, sql, {})
        except Exception as error:
            sentence = self._explain(error)
            if sentence is None:
                raise
            return _error(400, sentence)
        names, types, *rows = answer.removesuffix(b"\n").split(b"\n")
        body = b",".join(rows[:_MOST_ROWS]).join((b'{"columns":%b,"types":%b,"rows":[' % (names, types), b"]}"))
        return web.Response(body=body, content_type="application/json")


async def _index(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(_STATIC / "index.html")


async def _static(request: web.Request) -> web.StreamResponse:
    file = _STATIC / request.match_info["name"]
    if file.parent != _STATIC or not file.is_file():
        return _error(404, "there is no such file")
    return web.FileResponse(file)


async def _plotly(_: web.Request) -> web.StreamResponse:
    """The charting library, from its package: nothing is fetched from elsewhere."""
    found = find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        return _error(404, "the package plotly is not installed")
    return web.FileResponse(Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js")


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
