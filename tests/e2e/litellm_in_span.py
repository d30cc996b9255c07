"""An application that makes two LiteLLM calls inside one span of its own. ``argv[1]``: the provider's URL."""

from __future__ import annotations

import sys
import time

import litellm
from opentelemetry import trace

ASK = [{"role": "user", "content": "2 + 2?"}]


def main() -> None:
    """Two calls, one span, and time for LiteLLM's background thread to write on it."""
    litellm.suppress_debug_info = True
    litellm.callbacks = ["otel"]
    sent = {"api_base": sys.argv[1], "api_key": "sk-upstream"}
    litellm.completion("openai/gpt-4o-mini", ASK, **sent)  # the callback makes the tracer provider
    time.sleep(1)
    with trace.get_tracer("shop").start_as_current_span("checkout"):
        for _ in range(2):
            litellm.completion("openai/gpt-4o-mini", ASK, **sent)
        time.sleep(2)
    trace.get_tracer_provider().force_flush()


if __name__ == "__main__":
    main()
