"""The demo's sender, a process of its own: history over OTLP/HTTP, then real LiteLLM calls with LiteLLM's own callback.

``python -m otel_exporter.demo.traffic http://127.0.0.1:<port> <days>`` prints what it sent as one JSON object. Costs in
it are LiteLLM's own calculator's, so that the report can be compared with somebody else's arithmetic. LiteLLM's
exporter is configured by ``OTEL_*`` variables alone; `mock_response` keeps everything on this machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import litellm

from otel_exporter.demo import exports, history

PICODOLLAR = Decimal("1e-12")


def main() -> None:
    """Send everything, then say what was sent."""
    endpoint, days = sys.argv[1], int(sys.argv[2])
    litellm.suppress_debug_info = True
    sent = Sent()
    _send_history(endpoint, days, sent)
    litellm.callbacks = ["otel"]
    asyncio.run(_real_calls(sent))
    sys.stdout.write(json.dumps(sent.as_json()))


class Sent:
    """An independent tally of what really happened."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.cost = Decimal(0)
        self.books: list[Any] = []

    def call(self, input_tokens: int, output_tokens: int, cost: Decimal | None, *, failed: bool = False) -> None:
        """One physical call."""
        self.totals.update(calls=1, errors=int(failed), input_tokens=input_tokens, output_tokens=output_tokens)
        self.totals["unpriced"] += cost is None
        self.cost += (cost or Decimal(0)).quantize(PICODOLLAR)

    def as_json(self) -> dict[str, Any]:
        """Totals, the cost as text, and what the gateway's books say."""
        return {**self.totals, "cost_usd": str(self.cost), "books": self.books}


def _send_history(endpoint: str, days: int, sent: Sent) -> None:
    last_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    made = list(history.calls(last_hour, days))
    told = [(call, _told(call, sent)) for call in made if not call.withheld]
    sent.books = list(exports.booked(told))
    for body in exports.traces(told, history.refusals(last_hour, days)):
        _post(f"{endpoint}/v1/traces", body)
    for body in exports.logs(told):
        _post(f"{endpoint}/v1/logs", body)
    for body in exports.metrics(made):
        _post(f"{endpoint}/v1/metrics", body)


def _told(call: history.Call, sent: Sent) -> float | None:
    """What is reported as a call's cost; what it really cost is tallied."""
    cost = _cost(call.provider, call.model, call.input_tokens, call.cached_tokens, call.output_tokens)
    charged = 0.0 if call.failed or call.cache_hit else cost
    paid = None if charged is None else Decimal(repr(charged))
    sent.call(call.input_tokens, call.output_tokens, paid, failed=call.failed)
    return 0.0 if call.failed else cost


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"})
    urllib.request.urlopen(request, timeout=30).read()


@lru_cache(maxsize=100_000)
def _cost(provider: str, model: str, prompt: int, cached: int, answer: int) -> float | None:
    if model == history.UNPRICED:
        return None
    parts = litellm.cost_per_token(
        model=model,
        custom_llm_provider=provider,
        prompt_tokens=prompt,
        completion_tokens=answer,
        cache_read_input_tokens=cached,
        usage_object=litellm.Usage(
            prompt_tokens=prompt,
            completion_tokens=answer,
            total_tokens=prompt + answer,
            prompt_tokens_details={"cached_tokens": cached},
        ),
    )
    return float(sum(parts))


async def _real_calls(sent: Sent) -> None:
    """LiteLLM itself: sync, async, streamed, failing."""
    ask = [{"role": "user", "content": "Say hello to the demo"}]
    _tally(sent, litellm.completion("gpt-4o-mini", ask, mock_response="Hello from the DEMO."))
    _tally(sent, await litellm.acompletion("gpt-4o", ask, mock_response="Hello again.", user="demo-customer"))
    chunks = list(
        litellm.completion(
            "gpt-4o-mini", ask, mock_response="A streamed hello.", stream=True, stream_options={"include_usage": True}
        )
    )
    _tally(sent, litellm.stream_chunk_builder(chunks, ask))
    try:
        litellm.completion("gpt-4o-mini", ask, mock_response="litellm.RateLimitError")
    except litellm.RateLimitError:
        sent.call(0, 0, Decimal(0), failed=True)
    await asyncio.sleep(1)  # LiteLLM logs in the background


def _tally(sent: Sent, answer: Any) -> None:
    model = answer.model
    usage = answer.usage
    cost = Decimal(repr(litellm.completion_cost(answer, model=model, custom_llm_provider="openai")))
    sent.call(usage.prompt_tokens, usage.completion_tokens, cost)


if __name__ == "__main__":
    main()
