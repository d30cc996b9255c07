"""A real LiteLLM proxy in a process and a virtual environment of its own: its extras pin versions that ours do not.

``TEST_LITELLM_PROXY`` names the environment (or its ``litellm``); `.ci/run` makes one. Without it the tests
that need it skip and say how to make it.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.process import free_port
from tests.e2e.house import PATIENCE, outside

VARIABLE: Final = "TEST_LITELLM_PROXY"
VERSION: Final = "1.106.2"
#: LiteLLM leaves the OpenTelemetry SDK to whoever switches its callback on.
PACKAGES: Final = (f"litellm[proxy]=={VERSION}", "opentelemetry-sdk>=1.45", "opentelemetry-exporter-otlp>=1.45")
MASTER_KEY: Final = "sk-master-0123456789"

#: Database-backed keys need a database; this returns the same record, with and without the request's span.
CUSTOM_AUTH: Final = """
from litellm.proxy._types import UserAPIKeyAuth

async def user_api_key_auth(request, api_key: str) -> UserAPIKeyAuth:
    return UserAPIKeyAuth(api_key=api_key, team_id="team-pay", team_alias="Payments", key_alias="checkout")
"""


def program() -> Path:
    """The proxy's command.

    Raises:
        pytest.skip.Exception: it is not there.
    """
    named = os.environ.get(VARIABLE)
    home = Path(named) if named else _cache() / f"litellm-proxy-{VERSION}"
    command = home if home.is_file() else home / "bin" / "litellm"
    if not command.exists():
        pytest.skip(
            f"no LiteLLM proxy in {home}: python -m venv {home} && {home}/bin/pip install"
            f" {' '.join(map(repr, PACKAGES))} (or name another environment in {VARIABLE})"
        )
    return command


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tokentide-tests"


class Proxy:
    """A running proxy."""

    def __init__(self, address: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.address = address
        self.process = process
        self.log = log

    def ask(self, **body: Any) -> str:
        """One chat completion; the answer as it came."""
        asked = {"model": "cheap", "messages": [{"role": "user", "content": "2 + 2?"}], **body}
        status, answer = self.post("/v1/chat/completions", asked)
        assert status == 200, (status, answer, self.log.read_text()[-2000:])
        return answer

    def post(self, path: str, body: Mapping[str, Any], key: str = MASTER_KEY) -> tuple[int, str]:
        """One request: HTTP status and answer."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection(self.address, timeout=PATIENCE)) as connection:
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()


@contextmanager
def proxy(
    directory: Path,
    upstream: str,
    endpoint: str,
    variables: Mapping[str, str],
    *,
    custom_auth: bool = False,
    config: Mapping[str, Any] | None = None,
) -> Iterator[Proxy]:
    """A proxy in front of ``upstream`` that exports to ``endpoint``; its files go to ``directory``.

    ``config`` replaces whole sections of its usual `config.yaml`. A file that is in ``directory`` already stays there.
    """
    command = program()
    directory.mkdir(exist_ok=True)
    _configure(directory, upstream, config or {}, custom_auth=custom_auth)
    port = free_port()
    environment = outside(
        LITELLM_MASTER_KEY=MASTER_KEY,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        OTEL_EXPORTER="otlp_http",
        OTEL_ENDPOINT=endpoint,
        OTEL_SERVICE_NAME=directory.name,
        OTEL_BSP_SCHEDULE_DELAY="300",  # LiteLLM does not flush when it is stopped
        **variables,
    )
    log = directory / "proxy.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(command), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)],
            cwd=directory,
            env=environment,
            stdout=out,
            stderr=out,
        )
    try:
        running = Proxy(f"127.0.0.1:{port}", process, log)
        _await(running)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _configure(directory: Path, upstream: str, sections: Mapping[str, Any], *, custom_auth: bool) -> None:
    deployment = {"model": "openai/gpt-4o-mini", "api_base": upstream, "api_key": "sk-upstream"}
    config: dict[str, Any] = {
        "model_list": [{"model_name": "cheap", "litellm_params": deployment}],
        "litellm_settings": {"callbacks": ["otel"]},
    }
    config |= sections
    if custom_auth:
        (directory / "custom_auth.py").write_text(CUSTOM_AUTH)
        config["general_settings"] = {"custom_auth": "custom_auth.user_api_key_auth"}
    (directory / "config.yaml").write_text(json.dumps(config))  # JSON is YAML


def _await(running: Proxy) -> None:
    until = time.monotonic() + 2 * PATIENCE
    while not _is_alive(running.address):
        assert running.process.poll() is None, running.log.read_text()
        assert time.monotonic() < until, running.log.read_text()
        time.sleep(0.2)


def _is_alive(address: str) -> bool:
    try:
        with closing(http.client.HTTPConnection(address, timeout=5)) as connection:
            connection.request("GET", "/health/liveliness")
            return connection.getresponse().status == 200
    except OSError:
        return False
