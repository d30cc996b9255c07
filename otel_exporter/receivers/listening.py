"""A TCP listener of an HTTP server: plain or TLS, and its TLS files read again when they are renewed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from otel_exporter.receivers.tls import Renewal, Tls

#: Seconds between two looks at the TLS files.
_LOOK: Final = 1.0
_BACKLOG: Final = 512
_log = structlog.get_logger(__name__)


class Listening:
    """Listens on ``host``:``port`` (0 picks a free one) and gives every connection to a protocol of its own."""

    def __init__(self, host: str, port: int, tls: Tls | None = None) -> None:
        self._host, self._port = host, port
        self._tls = tls
        self._listeners: list[asyncio.Server] = []
        self._renewing: asyncio.Task[None] | None = None

    async def start(self, protocol: Callable[[], asyncio.Protocol]) -> tuple[str, int]:
        """Listen; host and port really listened on.

        Raises:
            OSError: the address cannot be bound.
            TlsUnusable: the TLS files are not what they should be.
        """
        renewal = Renewal(self._tls) if self._tls else None
        context = renewal.first().context if renewal else None
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(protocol, self._host, self._port, ssl=context, backlog=_BACKLOG)
        self._listeners = [listener]
        if renewal is not None:
            self._renewing = asyncio.create_task(self._renew(renewal, protocol))
        host, port = listener.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def stop(self) -> None:
        """Take no more connections; those that are open stay open."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()

    async def _renew(self, renewal: Renewal, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Listen on the same sockets with renewed TLS files. Connections that are open keep what they have.

        A new context, because one that is in use can only be given more client authorities, never fewer.
        """
        while True:
            await asyncio.sleep(_LOOK)
            if fresh := await asyncio.to_thread(renewal.look):
                try:
                    await self._relisten(protocol, fresh.context)
                except OSError as error:
                    _log.warning("renewed TLS files are not in use yet", reason=error.strerror)
                    renewal.forget()

    async def _relisten(self, protocol: Callable[[], asyncio.Protocol], context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        old = tuple(self._listeners)
        for socket in [socket.dup() for listener in old for socket in listener.sockets]:
            self._listeners.append(await loop.create_server(protocol, sock=socket, ssl=context, backlog=_BACKLOG))
        for listener in old:
            listener.close()
            self._listeners.remove(listener)


def address(host: str, port: int) -> str:
    """``host:port``, the way URLs write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
