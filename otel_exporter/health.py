"""The service's own HTTP door: `/metrics`, `/healthz`, `/readyz`, the dashboards, and questions from commands here."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from aiohttp import web

from otel_exporter.asking import PARQUET, ROWS
from otel_exporter.config.tree import HealthSettings, is_loopback
from otel_exporter.identity import Keyring, Scope
from otel_exporter.preview.pages import Pages
from otel_exporter.receivers.listening import Listening, address
from otel_exporter.receivers.tls import Tls, TlsUnusable
from otel_exporter.telemetry import exposition

#: SQL, its parameters and `asking.ROWS` or `asking.PARQUET` to the answer, as `otel_exporter.asking` reads it.
Ask = Callable[[str, Mapping[str, str], str], bytes]
Explain = Callable[[Exception], str | None]
#: Closes a month of the books (its name, whether though it is not over): the closing as JSON has it.
Close = Callable[[str, bool], Mapping[str, Any]]

LOCALHOST: Final = "127.0.0.1"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_MEDIA: Final = {ROWS: "application/x-ndjson", PARQUET: "application/vnd.apache.parquet"}
_AT_ONCE: Final = 4  # questions answered side by side
_LARGEST_QUESTION: Final = 2**20


class Readiness(Protocol):
    """Says whether data move, and what stands in the way when they do not."""

    def __call__(self) -> tuple[bool, Sequence[str]]:
        """``(ready, reasons)``; quick, no I/O that may hang."""


class Door:
    """One HTTP server. `open` returns the addresses it listens on."""

    def __init__(  # noqa: PLR0913 - what the door needs, each by its name
        self,
        settings: HealthSettings,
        ready: Readiness,
        ask: Ask,
        token: str,
        explain: Explain,
        pages: Pages | None = None,
        *,
        close: Close | None = None,
        keys: Keyring | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._settings = settings
        self._ready = ready
        self._questions = _Questions(ask, token, explain, close)
        self._pages = pages
        self._keys = keys
        self._tls = tls
        self._listening: list[Listening] = []
        self._runner: web.AppRunner | None = None

    async def open(self) -> dict[str, str]:
        """Listen; the ``host:port`` really bound as ``health``.

        With TLS there is a second one for commands of this machine, ``local_health``: they have no certificate to show,
        and no authority to ask.

        Raises:
            OSError: the address cannot be bound.
            TlsUnusable: the TLS files are not what they should be.
        """
        self._runner = web.AppRunner(self._application(), access_log=None)
        await self._runner.setup()
        try:
            addresses = {"health": await self._listen(self._settings.host, self._settings.port, self._tls)}
            if self._tls is not None:
                addresses["local_health"] = await self._listen(LOCALHOST, 0, None)
        except (OSError, TlsUnusable):
            await self.close()
            raise
        return addresses

    async def _listen(self, host: str, port: int, tls: Tls | None) -> str:
        assert self._runner is not None and self._runner.server is not None
        listening = Listening(host, port, tls)
        self._listening.append(listening)
        return address(*await listening.start(self._runner.server))

    async def close(self) -> None:
        """Stop listening, after the answers under way."""
        for listening in self._listening:
            await listening.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=_LARGEST_QUESTION)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", _alive)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_post("/api/query", self._questions.answer)
        application.router.add_post("/api/close", self._questions.close)
        if self._pages:
            self._pages.add_to(application.router)
        return application

    def _may_look(self, request: web.Request) -> bool:
        """Whether the asker may see what only a key shows where other machines get."""
        if not self._settings.is_guarded:
            return True
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        known = self._keys is not None and self._keys.known(text.strip(), Scope.METRICS)
        return scheme.lower() == "bearer" and bool(known)

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self._may_look(request):
            return _error(401, "metrics need a key with the scope metrics: authorization: Bearer <key>")
        return web.Response(body=exposition(), headers={"Content-Type": _PROMETHEUS})

    async def _readyz(self, request: web.Request) -> web.Response:
        ready, reasons = self._ready()
        reasons = reasons if self._may_look(request) else ()
        text = "ready\n" if ready else "".join(f"{reason}\n" for reason in reasons) or "not ready\n"
        return web.Response(text=text, status=200 if ready else 503)


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="alive\n")


class _Questions:
    """`POST /api/query`, read-only SQL, and `POST /api/close`, which closes a month of the books.

    For commands of the same user, who alone can read the token in the run file.
    """

    def __init__(self, ask: Ask, token: str, explain: Explain, close: Close | None) -> None:
        self._ask = ask
        self._close = close
        self._token = token.encode()
        self._explain = explain
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, request: web.Request) -> web.Response:
        """The answer, or 401, 403, 400 with a sentence under ``error``."""
        if (turned_away := self._turned_away(request)) is not None:
            return turned_away
        question = await _question(request)
        if question is None:
            return _error(400, 'the body must be {"sql": text, "parameters": {name: text}, "format": name}')
        sql, parameters, fmt = question
        async with self._slots:
            return await self._reply(lambda: self._ask(sql, parameters, fmt), _MEDIA[fmt])

    async def close(self, request: web.Request) -> web.Response:
        """The closing, or 401, 403, 400 with a sentence under ``error``."""
        if (turned_away := self._turned_away(request)) is not None:
            return turned_away
        asked = await _closing(request)
        if asked is None or (close := self._close) is None:
            return _error(400, 'the body must be {"period": month, "unfinished": bool}')
        period, unfinished = asked
        return await self._reply(lambda: json.dumps(close(period, unfinished)).encode(), "application/json")

    def _turned_away(self, request: web.Request) -> web.Response | None:
        if not is_loopback(request.remote or ""):
            return _error(403, "questions are answered on this machine only")
        if not self._is_known(request.headers.get("Authorization", "")):
            return _error(401, "the token of the run file is missing or wrong; keys ask ClickHouse's HTTP interface")
        return None

    async def _reply(self, work: Callable[[], bytes], media: str) -> web.Response:
        try:
            body = await asyncio.to_thread(work)
        except Exception as error:
            sentence = self._explain(error)
            if sentence is None:
                raise
            return _error(400, sentence)
        return web.Response(body=body, content_type=media)

    def _is_known(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)


async def _question(request: web.Request) -> tuple[str, Mapping[str, str], str] | None:
    try:
        body: Any = await request.json()
        sql, parameters, fmt = body["sql"], body.get("parameters", {}), body.get("format", ROWS)
        if isinstance(sql, str) and fmt in _MEDIA and all(isinstance(value, str) for value in parameters.values()):
            return sql, parameters, fmt
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    return None


async def _closing(request: web.Request) -> tuple[str, bool] | None:
    try:
        body: Any = await request.json()
        period, unfinished = body["period"], body.get("unfinished", False)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return (period, unfinished) if isinstance(period, str) and isinstance(unfinished, bool) else None


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
