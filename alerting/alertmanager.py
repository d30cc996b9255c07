"""Alertmanager's API v2: one POST of a batch of alerts (prometheus/alertmanager api/v2/openapi.yaml)."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from alerting.engine import Notice

_PATH: Final = "/api/v2/alerts"


class Unreachable(Exception):
    """It did not take the batch now; the same batch may go later. The text holds no credential and no alert."""


class Declined(Exception):
    """It will never take this batch. Alertmanager keeps the valid alerts of such a batch all the same."""


@dataclass(frozen=True)
class Endpoint:
    """Where an Alertmanager is and how it knows us."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure_skip_verify: bool = False
    timeout: float = 10.0

    @property
    def name(self) -> str:
        """Its address without anything secret."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}{parts.path.rstrip('/')}"


class Client:
    """Sends batches to one Alertmanager; a connection each, as batches are a minute apart."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._parts = urlsplit(endpoint.url)
        self._headers = {"Content-Type": "application/json", **_authorization(endpoint)}
        self._tls = _tls(endpoint) if self._parts.scheme == "https" else None

    def post(self, batch: Sequence[Notice]) -> None:
        """Send a batch. Redirects are not followed: they would carry the credential elsewhere.

        Raises:
            Unreachable: it cannot be reached, or has trouble of its own.
            Declined: it says that the batch is wrong.
        """
        body = json.dumps([_spelled(notice) for notice in batch]).encode()
        try:
            with closing(self._connection()) as connection:
                connection.request("POST", self._parts.path.rstrip("/") + _PATH, body, self._headers)
                response = connection.getresponse()
                response.read(2**16)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(type(error).__name__) from None
        if response.status in (400, 413, 422):
            raise Declined(f"HTTP {response.status}")
        if response.status != 200:
            raise Unreachable(f"HTTP {response.status}")

    def _connection(self) -> http.client.HTTPConnection:
        host, port, timeout = self._parts.hostname or "", self._parts.port, self._endpoint.timeout
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=timeout)


def _authorization(endpoint: Endpoint) -> dict[str, str]:
    if endpoint.bearer:
        return {"Authorization": f"Bearer {endpoint.bearer}"}
    if endpoint.username:
        login = base64.b64encode(f"{endpoint.username}:{endpoint.password}".encode()).decode()
        return {"Authorization": f"Basic {login}"}
    return {}


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(endpoint.ca_file) if endpoint.ca_file else None)
    if endpoint.cert_file:
        context.load_cert_chain(endpoint.cert_file, endpoint.key_file)
    if endpoint.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _spelled(notice: Notice) -> Mapping[str, Any]:
    return {
        "labels": dict(notice.labels),
        "annotations": dict(notice.annotations),
        "startsAt": _moment(notice.starts_at),
        "endsAt": _moment(notice.ends_at),
        "generatorURL": notice.annotations.get("dashboard_url", ""),
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
