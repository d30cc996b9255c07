"""TLS files: what cannot be used says so at once, what is renewed is used without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_exporter.receivers import Tls
from otel_exporter.receivers.tls import TlsUnusable
from tests.certificates import Authority
from tests.wire.receivers_door import door, on_loop

PATIENCE = 20.0


def shown(port: int, context: ssl.SSLContext, protocol: str | None = None) -> bytes:
    """The certificate a listener shows; raises ssl.SSLError or OSError when the handshake does not come to an end."""
    if protocol:
        context.set_alpn_protocols([protocol])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        certificate = connection.getpeercert(binary_form=True) or b""
        connection.settimeout(0.3)  # in TLS 1.3 a client's certificate is refused after the client is done
        with contextlib.suppress(TimeoutError):
            if not connection.recv(1):
                raise ConnectionResetError
        return certificate


def der(certificate: Path) -> bytes:
    """A PEM certificate as it is shown."""
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


async def until(holds: Callable[[], bool]) -> None:
    """Wait until ``holds``, for a while."""
    end = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < end, "it never holds"
        await asyncio.sleep(0.1)


def lets_in(port: int, context: ssl.SSLContext, protocol: str | None = None) -> bool:
    """Whether the handshake succeeds."""
    try:
        return bool(shown(port, context, protocol))
    except (ssl.SSLError, ConnectionError):
        return False


@on_loop
async def test_renewed_files_are_used_without_a_restart(tmp_path: Path) -> None:
    """New connections see the new certificate; half a renewal changes nothing; an open connection goes on."""
    authority = Authority(tmp_path / "ca", "server", "renewed")
    certificate, key = tmp_path / "live.pem", tmp_path / "live.key"
    shutil.copy(authority.folder / "server.pem", certificate)
    shutil.copy(authority.folder / "server.key", key)
    first, second = der(certificate), der(authority.folder / "renewed.pem")
    async with door(tls=Tls(certificate, key)) as house:
        ports = ((house.http_port, None), (house.grpc_port, "h2"))
        old = await asyncio.open_connection("localhost", house.http_port, ssl=authority.client())
        for port, protocol in ports:
            assert await asyncio.to_thread(shown, port, authority.client(), protocol) == first
        shutil.copy(authority.folder / "renewed.pem", certificate)
        await asyncio.sleep(2.5)  # two looks
        for port, protocol in ports:
            assert await asyncio.to_thread(shown, port, authority.client(), protocol) == first
        shutil.copy(authority.folder / "renewed.key", key)
        for port, protocol in ports:
            await until(lambda at=port, speaks=protocol: shown(at, authority.client(), speaks) == second)  # type: ignore[misc]
        reader, writer = old
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        writer.close()


@on_loop
async def test_a_client_authority_can_be_replaced(tmp_path: Path) -> None:
    """After its authority is replaced, a sender of the old one is out and one of the new one is in."""
    ours, old, new = (Authority(tmp_path / name, "one") for name in ("ours", "old", "new"))
    trusted = tmp_path / "clients.pem"
    shutil.copy(old.root, trusted)
    folder = ours.folder

    def sender(of: Authority) -> ssl.SSLContext:
        context = ours.client()
        context.load_cert_chain(of.folder / "one.pem", of.folder / "one.key")
        return context

    async with door(tls=Tls(folder / "one.pem", folder / "one.key", trusted)) as house:
        ports = ((house.http_port, None), (house.grpc_port, "h2"))
        for port, protocol in ports:
            assert await asyncio.to_thread(lets_in, port, sender(old), protocol)
            assert not await asyncio.to_thread(lets_in, port, sender(new), protocol)
            assert not await asyncio.to_thread(lets_in, port, ours.client(), protocol)
        shutil.copy(new.root, trusted)
        for port, protocol in ports:
            await until(lambda at=port, speaks=protocol: lets_in(at, sender(new), speaks))  # type: ignore[misc]
            assert not await asyncio.to_thread(lets_in, port, sender(old), protocol)


def test_what_cannot_be_used_says_so(tmp_path: Path) -> None:
    """A missing file, a key of another certificate, an encrypted key, no PEM: one sentence that names the files."""
    authority = Authority(tmp_path / "ca", "server", "other")
    folder = authority.folder
    subprocess.run(
        ["openssl", "ec", "-in", "server.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "text.pem").write_text("no PEM\n")
    server, key = folder / "server.pem", folder / "server.key"
    for tls, why in (
        (Tls(folder / "missing.pem", key), "no such file"),
        (Tls(server, folder / "other.key"), "key values mismatch"),
        (Tls(server, folder / "locked.key"), "passphrase"),
        (Tls(folder / "text.pem", key), "not pem"),
        (Tls(server, key, folder / "text.pem"), "no certificate"),
    ):
        with pytest.raises(TlsUnusable, match=why) as told:
            tls.load()
        assert str(tls.certificate) in str(told.value) and "secret" not in str(told.value)
    assert Tls(server, key, authority.root).load().client_authority == authority.root.read_bytes()
