"""ClickHouse's HTTP interface before the embedded engine, as far as our client uses it: what is behind it is real."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

#: Parameters the HTTP interface keeps to itself; every other one is a setting.
_TRANSPORT = {"database", "wait_end_of_query", "client_protocol_version", "enable_http_compression", "compress", "role"}
_TRANSPORT |= {"query_id", "session_id", "default_format", "send_progress_in_http_headers"}
_TRANSPORT |= {"http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close"}


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """The URL of a server for the engine that has ``path`` open."""

    class Served(Handler):
        data = path

    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://user:secret-password@127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """One request: a statement, its parameters and settings, an insert's rows, external tables."""

    protocol_version = "HTTP/1.1"
    data: Path

    def do_POST(self) -> None:
        """Answer a statement."""
        arguments = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        files: dict[str, bytes] = {}
        body = self._body()
        if self.headers.get_content_type() == "multipart/form-data":
            fields, files, body = _parts(self.headers["Content-Type"], body)
            arguments |= fields
        try:
            self._answer(200, self._run(arguments, files, body))
        except Exception as error:  # as a server does: the code in a header, the words in the body
            code = re.search(r"Code: (\d+)", str(error))
            self._answer(500, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "0"})

    def do_GET(self) -> None:
        self.do_POST()

    def _run(self, arguments: dict[str, str], files: dict[str, bytes], body: bytes) -> bytes:
        sql = arguments.pop("query", "")
        if not sql:
            sql, body = body.decode(), b""
        connection = chdb.connect(str(self.data))
        try:
            bound = {name[6:]: value for name, value in arguments.items() if name.startswith("param_")}
            for name, content in files.items():
                self._external(connection, name, arguments, content)
            for name, value in arguments.items():
                if not name.startswith("param_") and name not in _TRANSPORT:
                    connection.query(f"SET {name} = '{value}'")
            if arguments.get("database"):
                connection.query(f"USE {arguments['database']}")
            if body:
                return _insert(connection, sql, body)
            return bytes(connection.query(sql, "TabSeparated", params=bound).bytes() or b"")
        finally:
            connection.close()

    def _external(self, connection: Any, name: str, arguments: dict[str, str], content: bytes) -> None:
        form, structure = arguments.pop(f"{name}_format"), arguments.pop(f"{name}_structure")
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            source = f"file('{file.name}', {form}, '{structure}')"
            connection.query(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM {source}")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _insert(connection: Any, sql: str, body: bytes) -> bytes:
    """An INSERT whose data came in the body."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        head, form = re.fullmatch(r"(.*?)\s*FORMAT\s+(\w+)\s*", sql, re.DOTALL).groups()  # type: ignore[union-attr]
        connection.query(f"{head} FROM INFILE '{file.name}' FORMAT {form}")
    return b""


def _parts(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, bytes], bytes]:
    """The fields and files of a form."""
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields, files = {}, {}
    for part in message.get_payload():
        name = str(part.get_param("name", header="content-disposition"))  # type: ignore[union-attr]
        content = bytes(part.get_payload(decode=True))  # type: ignore[arg-type,union-attr]
        if part.get_filename():  # type: ignore[union-attr]
            files[name] = content
        else:
            fields[name] = content.decode()
    return fields, files, b""
