"""TLS of a listener: PEM files, and noticing that they were renewed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]


class TlsUnusable(Exception):
    """The TLS files of a listener cannot be read, or do not fit together."""


@dataclass(frozen=True)
class Loaded:
    """Files that work together, as they were at one moment."""

    context: ssl.SSLContext
    certificate: bytes
    key: bytes
    client_authority: bytes | None


@dataclass(frozen=True)
class Tls:
    """PEM files. With ``client_authority`` only senders whose certificate it signed get through (mTLS)."""

    certificate: Path
    key: Path
    client_authority: Path | None = None

    def load(self) -> Loaded:
        """Read the files. Raises TlsUnusable."""
        try:
            return Loaded(
                self._context(),
                self.certificate.read_bytes(),
                self.key.read_bytes(),
                self.client_authority.read_bytes() if self.client_authority else None,
            )
        except OSError as error:  # ssl.SSLError is one
            what = f"TLS with certificate {self.certificate} and key {self.key}"
            clients = f", client authority {self.client_authority}" if self.client_authority else ""
            raise TlsUnusable(f"{what}{clients}: {_why(error)}") from None

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # Without a password OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(self.certificate, self.key, password="")
        if self.client_authority is not None:
            context.load_verify_locations(self.client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def stamp(self) -> _Stamp:
        """What changes when a file is replaced, also behind a symbolic link. Raises OSError."""
        files = [file for file in (self.certificate, self.key, self.client_authority) if file]
        return tuple((seen.st_ino, seen.st_mtime_ns, seen.st_size) for seen in (file.stat() for file in files))


class Renewal:
    """Reads the files of a listener at its start, and again whenever they have changed."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._stamp: _Stamp = ()

    def first(self) -> Loaded:
        """What to start with. Raises TlsUnusable."""
        loaded = self._tls.load()
        self._stamp = self._tls.stamp()
        return loaded

    def forget(self) -> None:
        """What was last read is not in use: the next look reads it again."""
        self._stamp = ()

    def look(self) -> Loaded | None:
        """The files if they are others than at the last look, and fit together; None: go on with what you have.

        Certificate and key are replaced one after the other: between the two nothing fits, and nothing changes.
        """
        try:
            stamp = self._tls.stamp()
            if stamp == self._stamp:
                return None
            loaded = self._tls.load()
            if stamp != self._tls.stamp():
                return None  # replaced while they were read: the next look sees what became of it
        except (OSError, TlsUnusable) as error:
            why = _why(error) if isinstance(error, OSError) else str(error)
            _log.warning("renewed TLS files cannot be used; the old ones stay", reason=why)
            return None
        self._stamp = stamp
        _log.info("TLS files were renewed", certificate=str(self._tls.certificate))
        return loaded


def _why(error: OSError) -> str:
    """OpenSSL's reason (`KEY_VALUES_MISMATCH`) or the system's."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "a file is not PEM, or the key has a passphrase").replace("_", " ").lower()
    return (error.strerror or type(error).__name__).lower()
