"""An application that calls LiteLLM with Tokentide's callback; prints what it really did, one JSON object per attempt.

``argv``: the provider's URL, then the built-in callbacks to have beside ours, then nothing, ``router`` or ``both``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import litellm
import tokentide_callback

URL = sys.argv[1]
ASK = [{"role": "user", "content": "How many roads?"}]
SENT: dict[str, Any] = {"api_base": URL, "api_key": "sk-upstream", "max_retries": 0}
META = {"tags": ["folk", "night"], "session_id": "s-7", "feature": "checkout"}


def tell(answer: Any, model: str, **said: Any) -> None:
    """What happened."""
    cost = litellm.completion_cost(answer, model=model, custom_llm_provider="openai")
    usage = {"input_tokens": answer.usage.prompt_tokens, "output_tokens": answer.usage.completion_tokens or 0}
    print(json.dumps({"model": model, "status": "ok", "cost": repr(cost), **usage, **said}))


def failed(model: str, code: str, **said: Any) -> None:
    """What did not happen."""
    print(json.dumps({"model": model, "status": "error", "cost": "0", "code": code, **said}))


async def plain() -> None:
    """Sync, async, streamed in both ways, an embedding, and a failure in both ways."""
    tell(litellm.completion("openai/gpt-4o-mini", ASK, **SENT, metadata=dict(META)), "gpt-4o-mini", tags=META["tags"])
    tell(await litellm.acompletion("openai/gpt-4o", ASK, **SENT, user="customer-7"), "gpt-4o", end_user="customer-7")
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}, **SENT}
    chunks = list(litellm.completion("openai/gpt-4o-mini", ASK, **options))
    tell(litellm.stream_chunk_builder(chunks, ASK), "gpt-4o-mini", streaming=True)
    chunks = [chunk async for chunk in await litellm.acompletion("openai/gpt-4o", ASK, **options)]
    tell(litellm.stream_chunk_builder(chunks, ASK), "gpt-4o", streaming=True)
    tell(await litellm.aembedding("openai/text-embedding-3-small", ["x"], **SENT), "text-embedding-3-small")
    broken = {**SENT, "api_base": URL + "/fail/429"}
    for _ in range(2):
        try:
            litellm.completion("openai/gpt-4o", ASK, **broken)
        except litellm.RateLimitError:
            failed("gpt-4o", "429", api_base=broken["api_base"])
    try:
        await litellm.acompletion("openai/gpt-4o", ASK, **broken)
    except litellm.RateLimitError:
        failed("gpt-4o", "429", api_base=broken["api_base"])


async def routed() -> None:
    """Two requests: primary fails, is tried again, fails again; the backup answers. Then one that needs none of it."""
    primary = {**SENT, "model": "openai/gpt-4o-mini", "api_base": URL + "/fail/500"}
    router = litellm.Router(
        model_list=[
            {"model_name": "primary", "litellm_params": primary, "model_info": {"id": "deployment-p"}},
            {"model_name": "backup", "litellm_params": {**SENT, "model": "openai/gpt-4o"}, "model_info": {"id": "d-b"}},
        ],
        fallbacks=[{"primary": ["backup"]}],
        num_retries=1,
        retry_after=0,
        disable_cooldowns=True,
    )
    for _ in range(2):
        answer = await router.acompletion("primary", ASK, metadata=dict(META))
        for _ in range(2):
            failed("gpt-4o-mini", "500", deployment="deployment-p", api_base=primary["api_base"])
        tell(answer, "gpt-4o", deployment="d-b")
    tell(await router.acompletion("backup", ASK, metadata=dict(META)), "gpt-4o", deployment="d-b")


async def main() -> None:
    """All of it, and time for LiteLLM to log in the background."""
    litellm.suppress_debug_info = True
    beside = [name for name in sys.argv[2].split(",") if name]
    litellm.callbacks = [*beside, tokentide_callback.handler]
    if sys.argv[3:] != ["router"]:
        await plain()
    if sys.argv[3:] in (["router"], ["both"]):
        await routed()
    await asyncio.sleep(2)


if __name__ == "__main__":
    asyncio.run(main())
