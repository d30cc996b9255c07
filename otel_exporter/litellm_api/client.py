"""GET requests to a LiteLLM proxy: at a bounded rate, again when it is busy, never with the key in a text.

Routes, parameters and answers: litellm 1.106.2, `proxy/management_endpoints/`, `proxy/spend_tracking/`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import urllib3

from otel_exporter.config.values import Secret
from otel_exporter.failures import Reason, Refused, RetryLater

_TIMEOUT: Final = urllib3.Timeout(connect=10.0, read=120.0)
_PATIENCE: Final = 300.0  # seconds a busy proxy may keep us waiting for one answer
_LONGEST_PAUSE: Final = 30.0
_BUSY: Final = (408, 429, 500, 502, 503, 504)
#: Tries at a proxy that answers 500: more than a hiccup is a fault somebody has to look at.
_MOST_FAULTS: Final = 4
_LONGEST_KEY: Final = 4096


def read_key(file: Path) -> Secret:
    """The key in a file of its own.

    Raises:
        Refused: there is none, or it cannot be one.
    """
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        raise Refused(Reason.MALFORMED, f"the key file {file} cannot be read") from None
    if not text or len(text) > _LONGEST_KEY or not text.isprintable() or " " in text:
        raise Refused(Reason.MALFORMED, f"the key file {file} must hold one key and nothing else")
    return Secret(text)


class LiteLLM:
    """One proxy. Not for several threads at once."""

    def __init__(
        self,
        url: str,
        key: Secret,
        *,
        per_second: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """A client.

        Args:
            url: where the proxy listens, with its root path if it has one.
            key: a key that may see everything: the master key, or one of a proxy admin (viewer).
            per_second: most requests a second.
            clock, sleep: of tests.

        Raises:
            Refused: ``url`` is no address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise Refused(Reason.MALFORMED, "--url must be an address such as https://litellm.example.com")
        self.url = url.rstrip("/")
        self._key = key
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._gap = 1.0 / per_second
        self._next = 0.0
        self._clock = clock
        self._sleep = sleep

    def get(self, path: str, **parameters: object) -> Any:
        """The answer to one GET, its numbers as they are written: floats as text are never rounded by us.

        Raises:
            Refused: the proxy does not accept the key, does not know the route, or answers something else than JSON.
            RetryLater: it cannot be reached, or stays busy.
        """
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        answer = self._answer(path, f"{self.url}{path}?{query}" if query else self.url + path)
        try:
            return json.loads(answer, parse_float=str)
        except ValueError:
            raise Refused(
                Reason.MALFORMED, f"{self.url}{path} does not answer in JSON: is it a LiteLLM proxy?"
            ) from None

    def _answer(self, path: str, url: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._key.reveal()}", "Accept": "application/json"}
        give_up, pause, faults, why = self._clock() + _PATIENCE, 0.5, 0, "it cannot be reached"
        while self._clock() < give_up:
            self._wait_for_turn()
            try:
                response = self._pool.request("GET", url, headers=headers, redirect=False)
            except urllib3.exceptions.HTTPError:
                asked, faults = None, faults + 1
            else:
                if response.status == 200:
                    return response.data
                why = f"it answers {response.status}"
                _check(response.status, self.url, path)
                asked, faults = _seconds(response.headers), faults + (response.status == 500)
            if faults >= _MOST_FAULTS:
                break
            self._sleep(min(asked or pause, _LONGEST_PAUSE))
            pause *= 2
        raise RetryLater(Reason.OVERLOADED, f"{self.url}{path}: {why}; what was imported stays, run the command again")

    def _wait_for_turn(self) -> None:
        now = self._clock()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._gap


def _check(status: int, url: str, path: str) -> None:
    """Raise for what asking again does not mend. What the proxy wrote is not repeated: it may quote the key."""
    if status in (401, 403):
        raise Refused(Reason.MALFORMED, f"{url} does not let this key read {path}: use the key of a proxy admin")
    if status not in _BUSY:
        raise Refused(Reason.MALFORMED, f"{url}{path} answers {status}: is it a LiteLLM proxy with a database?")


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None
