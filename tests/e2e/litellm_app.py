"""An application that calls LiteLLM, told where to export by `OTEL_*` variables alone; prints what it really did.

One JSON object per call: ``id`` of the answer, ``model``, tokens, ``status``, ``streaming``, and as exact text the
``cost`` that LiteLLM's own calculator finds. `mock_response` keeps everything on this machine.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import litellm

ASK = [{"role": "user", "content": "How many roads must a man walk down?"}]


def tell(answer: Any, *, streaming: bool = False) -> None:
    """What happened."""
    cost = litellm.completion_cost(answer, model=answer.model, custom_llm_provider="openai")
    usage = {"input_tokens": answer.usage.prompt_tokens, "output_tokens": answer.usage.completion_tokens}
    said = {"id": answer.id, "model": answer.model, "status": "ok", "streaming": streaming, "cost": repr(cost)}
    print(json.dumps(said | usage))


def stream() -> None:
    """One streamed call."""
    options = {"include_usage": True}
    chunks = list(litellm.completion("gpt-4o-mini", ASK, mock_response="42.", stream=True, stream_options=options))
    tell(litellm.stream_chunk_builder(chunks, ASK), streaming=True)


def fail() -> None:
    """One call that the provider turns away."""
    try:
        litellm.completion("gpt-4o", ASK, mock_response="litellm.RateLimitError")
    except litellm.RateLimitError:
        print(json.dumps({"model": "gpt-4o", "status": "error", "streaming": False, "cost": "0"}))


async def main() -> None:
    """Sync, async, streamed, failing."""
    litellm.suppress_debug_info = True
    litellm.callbacks = ["otel"]
    tell(litellm.completion("gpt-4o-mini", ASK, mock_response="The answer is blowing in the wind."))
    tell(await litellm.acompletion("gpt-4o", ASK, mock_response="As many as it takes.", user="customer-7"))
    stream()
    fail()
    await asyncio.sleep(2)  # LiteLLM logs in the background


if __name__ == "__main__":
    asyncio.run(main())
