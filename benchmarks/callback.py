"""What Tokentide's callback for LiteLLM costs a caller: LiteLLM's own calls with it and without it, in one run.

`python -m benchmarks.callback` prints, for synchronous and asynchronous calls, the median and the 99th percentile of
what a caller waits for, blocks with and without the callback taking turns; and what one event of the callback itself
takes. The provider is LiteLLM's `mock_response`, the receiver a process of its own that takes everything. An
asynchronous call is measured together with what LiteLLM logs of it in the same event loop.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_BLOCKS, _CALLS = 12, 100
_DIRECTORY: Final = Path(__file__).parents[1] / "deploy" / "litellm"
_RECEIVER: Final = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Takes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def receiver() -> Iterator[str]:
    """Something that takes OTLP/HTTP."""
    with subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def main() -> None:
    """Measure and print."""
    with receiver() as address:
        os.environ.update(OTEL_EXPORTER_OTLP_ENDPOINT=address, LITELLM_LOCAL_MODEL_COST_MAP="True")
        sys.path.insert(0, str(_DIRECTORY))
        import litellm
        import tokentide_callback

        litellm.suppress_debug_info = True
        asyncio.run(_measured(litellm, tokentide_callback.handler))
        tokentide_callback.handler.sender.stop()
        sender = tokentide_callback.handler.sender
        print(f"records: {sender.seen} seen, {sender.exported} exported, {sender.dropped} dropped")


async def _measured(litellm: Any, handler: Any) -> None:
    events: list[float] = []
    tell = handler._tell

    def timed(*arguments: Any) -> None:
        begun = time.perf_counter()
        tell(*arguments)
        events.append(time.perf_counter() - begun)

    handler._tell = timed
    ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "2 + 2?"}], "mock_response": "4"}

    async def synchronous() -> None:
        litellm.completion(**ask)

    async def asynchronous() -> None:
        await litellm.acompletion(**ask)
        await asyncio.sleep(0)
        await litellm.litellm_core_utils.logging_worker.GLOBAL_LOGGING_WORKER.flush()

    for name, call in (("completion", synchronous), ("acompletion and its logging", asynchronous)):
        await _compared(litellm, handler, name, call)
    print(f"one event of the callback: {_percentiles(events)}")


async def _compared(litellm: Any, handler: Any, name: str, call: Callable[[], Awaitable[None]]) -> None:
    waits: dict[bool, list[float]] = {False: [], True: []}
    for block in range(-2, _BLOCKS):  # the first two only warm up
        litellm.logging_callback_manager._reset_all_callbacks()
        litellm.callbacks = [handler] if block % 2 else []
        for _ in range(_CALLS):
            begun = time.perf_counter()
            await call()
            if block >= 0:
                waits[bool(block % 2)].append(time.perf_counter() - begun)
        await asyncio.sleep(1)
    medians = {beside: statistics.median(each) * 1e3 for beside, each in waits.items()}
    print(f"{name}: without {_percentiles(waits[False])}; with {_percentiles(waits[True])}")
    print(f"  added at the median: {medians[True] - medians[False]:+.3f} ms")


def _percentiles(seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1e3:.3f} ms, p99 {cuts[98] * 1e3:.3f} ms ({len(seconds)})"


if __name__ == "__main__":
    main()
