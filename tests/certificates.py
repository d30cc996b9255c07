"""A throw-away certificate authority: PEM files for TLS tests, made with openssl."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Final

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """An authority in a directory: ``ca.pem``, and what it signed for localhost: ``<name>.pem`` with ``<name>.key``."""

    def __init__(self, folder: Path, *names: str) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self.folder = folder
        self.root = folder / "ca.pem"
        subject = ("-days", "2", "-subj", "/CN=authority")
        self._openssl("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", *subject)
        (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for name in names:
            self.sign(name)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name: str) -> tuple[Path, Path]:
        """A new certificate and its key; they replace those of the same name."""
        self._openssl("req", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san")
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def client(self, name: str | None = None) -> ssl.SSLContext:
        """How a client connects that trusts this authority, with the certificate ``name`` if it has one."""
        context = ssl.create_default_context(cafile=str(self.root))
        if name is not None:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context
