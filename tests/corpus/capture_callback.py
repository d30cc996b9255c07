"""Captures the corpus's `litellm-callback*` cases: real LiteLLM with Tokentide's callback, as the e2e tests use it.

`python -m tests.corpus.capture_callback` runs the application and the proxy, alone and beside each built-in callback,
keeps what their exporters send, and writes down what they say they did as `truth.json`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.corpus.cases import DATA
from tests.e2e import test_litellm_callback as real
from tests.e2e.gateway import proxy
from tests.e2e.house import outside
from tests.e2e.provider import provider

_PROVIDER: Final = "openai"
_PATIENCE: Final = 60.0
_TOKENS: Final = {"cached_input_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0}


class Sink:
    """Takes OTLP/HTTP and keeps the requests, merged by signal."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {"traces": b"", "logs": b"", "metrics": b""}
        self.url = ""

    def calls(self) -> int:
        """How many records of calls came."""
        request = ExportLogsServiceRequest.FromString(self.bodies["logs"])
        scopes = [scope for block in request.resource_logs for scope in block.scope_logs]
        return sum(record.event_name == "litellm.call" for scope in scopes for record in scope.log_records)

    def keep(self, producer: str, case: str) -> None:
        """Write what came to the corpus."""
        directory = DATA / producer
        directory.mkdir(exist_ok=True)
        for signal in ("traces", "logs"):
            if self.bodies[signal]:
                (directory / f"{case}.{signal}.pb").write_bytes(self.bodies[signal])


@contextmanager
def sink() -> Iterator[Sink]:
    """A running one."""
    kept = Sink()
    lock = threading.Lock()

    class Takes(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                kept.bodies[self.path.rpartition("/")[2]] += body
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def truth(said: Mapping[str, Any], **known: Any) -> dict[str, Any]:
    """What the application or the test says, in the words of the corpus."""
    failed = said["status"] == "error"
    embedded = said["model"].startswith("text-embedding")
    return {
        "provider": _PROVIDER,
        "model": said["model"],
        "response_model": None,
        "operation": "embeddings" if embedded else "chat",
        "status": said["status"],
        "error_code": int(said["code"]) if failed else None,
        "streaming": said.get("streaming", False),
        "input_tokens": 0 if failed else said["input_tokens"],
        "output_tokens": 0 if failed else said["output_tokens"],
        **_TOKENS,
        "served_from_gateway_cache": False,
        "team": "payments",
        "end_user": said.get("end_user"),
        "session_id": None,
        "tags": None,
        **known,
    }


def application(upstream: str, mode: str, *arguments: str) -> tuple[Sink, list[dict[str, Any]]]:
    """One run of the application: what it sent, and what it did."""
    beside, variables = real.BESIDE[mode]
    with sink() as kept:
        environment = outside(
            OTEL_EXPORTER="otlp_http",
            OTEL_ENDPOINT=kept.url,
            OTEL_SERVICE_NAME="shop",
            OTEL_RESOURCE_ATTRIBUTES="team=payments",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            PYTHONPATH=str(real.CALLBACK.parent),
            PYTHONDONTWRITEBYTECODE="1",
            **variables,
        )
        command = [sys.executable, str(real.APP), upstream, beside, *arguments]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    return kept, [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def behind_proxy(upstream: str, mode: str, directory: Path) -> Sink:
    """One run of the proxy, as the e2e test uses it."""
    beside, variables = real.BESIDE[mode]
    directory.mkdir()
    shutil.copy(real.CALLBACK, directory)
    config = real.configuration(upstream, beside)
    with sink() as kept, proxy(directory, upstream, kept.url, variables, config=config) as gateway:
        real.use(gateway)
        until = time.monotonic() + _PATIENCE
        while kept.calls() < len(real.TOLD) and time.monotonic() < until:
            time.sleep(0.5)
        time.sleep(5)  # the built-in callback's last batch
    return kept


def main() -> None:
    """Capture everything, or the modes that are named."""
    modes: Sequence[str] = sys.argv[1:] or list(real.BESIDE)
    with provider() as upstream, tempfile.TemporaryDirectory() as directory:
        _applications(upstream, modes)
        _proxies(upstream, modes, Path(directory))


def _applications(upstream: str, modes: Sequence[str]) -> None:
    truths: dict[str, Any] = {}
    for mode in modes:
        for arguments in ((), ("router",)):
            kept, told = application(upstream, mode, *arguments)
            case = "_".join([*(arguments or ("plain",)), mode.replace("-", "_")])
            kept.keep("litellm-callback", case)
            tagged = {"session_id": "s-7", "tags": ["folk", "night"]}
            calls = [truth(said, **(tagged if arguments or said.get("tags") else {})) for said in told]
            truths[case] = {"calls": calls, "observable_calls": len(calls), "note": ""}
    _write("litellm-callback", truths)


def _proxies(upstream: str, modes: Sequence[str], directory: Path) -> None:
    truths: dict[str, Any] = {}
    for mode in modes:
        kept = behind_proxy(upstream, mode, directory / f"proxy-{mode}")
        case = mode.replace("-", "_")
        kept.keep("litellm-callback-proxy", case)
        tagged = {"session_id": "s-8", "tags": ["folk"], "end_user": "customer-8"}
        calls = [truth(said, team=None, **(tagged if place < 3 else {})) for place, said in enumerate(real.TOLD)]
        calls[-1]["served_from_gateway_cache"] = True
        truths[case] = {"calls": calls, "observable_calls": len(calls), "note": ""}
    _write("litellm-callback-proxy", truths)


def _write(producer: str, truths: Mapping[str, Any]) -> None:
    file = DATA / producer / "truth.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **truths}, indent=1) + "\n")


if __name__ == "__main__":
    main()
