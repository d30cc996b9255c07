"""The names under which a model may stand in LiteLLM's table, most specific first (`litellm.utils`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_DATE: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_COMPACT_DATE: Final = re.compile(r"[-@]20\d{6}$|@latest$|@default$")
_VERSION: Final = re.compile(r"-\d+$")
_FINE_TUNE: Final = re.compile(r"(:[^:]*){3}$")
_AWS_REGION: Final = re.compile(r"^[a-z]{2}(-[a-z]+)+-\d$")
_THROUGHPUT: Final = re.compile(r"(:\d+):\d+k$")
_CONTEXT: Final = re.compile(r"\[\w+\]$")
#: Prefixes of Bedrock's cross-region inference profiles.
_PROFILES: Final = frozenset({"global", "us", "eu", "apac", "jp", "au", "ca", "us-gov"})
_BEDROCK_ROUTES: Final = (
    "bedrock/", "chat_completions/", "converse/", "invoke/", "openai/", "mantle/", "nova-2/", "nova/",
)  # fmt: skip
#: Azure's own spelling of some OpenAI models.
_AZURE: Final = {
    "gpt-35-turbo": "azure/gpt-35-turbo",
    "gpt-35-turbo-16k": "azure/gpt-35-turbo-16k",
    "gpt-35-turbo-instruct": "azure/gpt-35-turbo-instruct",
    "azure/gpt-41": "gpt-4.1",
    "azure/gpt-41-mini": "gpt-4.1-mini",
    "azure/gpt-41-nano": "gpt-4.1-nano",
    "ada": "azure/ada",
}
_DATABRICKS: Final = {
    "dbrx-instruct": "databricks-dbrx-instruct",
    "meta-llama-3.1-70b-instruct": "databricks-meta-llama-3-1-70b-instruct",
    "meta-llama-3.1-405b-instruct": "databricks-meta-llama-3-1-405b-instruct",
    "mixtral-8x7b-instruct-v0.1": "databricks-mixtral-8x7b-instruct",
    "bge-large-en": "databricks-bge-large-en",
    "gte-large-en": "databricks-gte-large-en",
    "llama-2-70b-chat": "databricks-llama-2-70b-chat",
}


def candidates(model: str, provider: str) -> Iterator[str]:
    """Every name to try for ``model`` of ``provider`` (LiteLLM's spelling), in LiteLLM's order, then ours.

    Ours are at the end: a snapshot whose date is written ``-20250929`` or ``@20250929`` costs what its model costs.
    """
    model = _AZURE.get(model, model)
    if provider == "databricks":
        bare = model.removeprefix("databricks/")
        model = next((key for prefix, key in _DATABRICKS.items() if bare.startswith(prefix)), bare)
    yield from _litellm_order(model, provider)
    undated = _COMPACT_DATE.sub("", model)
    if undated != model:
        yield from _litellm_order(undated, provider)


def _litellm_order(model: str, provider: str) -> Iterator[str]:
    prefix = f"{provider}/"
    while model.startswith(prefix * 2):  # a router may repeat the provider
        model = model.removeprefix(prefix)
    bare = model.removeprefix(prefix)
    yield prefix + bare
    yield model
    yield model.partition("/")[2]
    if provider == "vertex_ai":
        yield from (f"vertex_ai/meta/{bare}", f"vertex_ai/{bare}@latest")
    if provider == "bedrock_mantle":
        bare = _without_region(bare)
        yield prefix + bare
    if provider in ("bedrock", "bedrock_converse"):
        yield _without_route(bare)
    elif bare != model:
        yield bare
    stripped = base_name(bare, provider)
    yield prefix + stripped
    yield stripped
    yield prefix + (_fireworks_resource(bare) if provider == "fireworks_ai" else model)


def base_name(model: str, provider: str) -> str:
    """The model without what does not change its price: dates, versions, regions, a fine-tune's owner."""
    if provider in ("bedrock", "bedrock_converse"):
        return _bedrock_base(model)
    if provider in ("vertex_ai", "gemini", "databricks"):
        return _VERSION.sub("", model)
    return _FINE_TUNE.sub("", model) if "ft:" in model else _DATE.sub("", model)


def cleaned(model: str) -> str:
    """The model's name without the path some SDKs put before it."""
    model = model.strip()
    if "publishers/" in model:
        model = model.rsplit("/models/", 1)[-1]
    return model.removeprefix("models/")


def with_region(model: str, provider: str, region: str) -> str:
    """The name of a model's regional price, as the table spells it."""
    return f"{provider}/{region}/{model.removeprefix(f'{provider}/')}"


def _bedrock_base(model: str) -> str:
    route = model
    for prefix in ("bedrock/converse/", "bedrock/", "converse/"):
        if route.startswith(prefix):
            route = route[len(prefix) :]
            break
    if route.startswith(("nova-2/", "nova/")):
        return "amazon.nova-2-custom" if route.startswith("nova-2/") else "amazon.nova-custom"
    model = _without_route(model)
    if "arn" in model.lower():
        model = model.rsplit("/", 1)[-1]
    model = _CONTEXT.sub("", _THROUGHPUT.sub(r"\1", model))
    profile, _, rest = model.partition(".")
    return rest if profile in _PROFILES and rest else _without_region(model)


def _without_route(model: str) -> str:
    for prefix in _BEDROCK_ROUTES:
        model = model.removeprefix(prefix)
    return model


def _without_region(model: str) -> str:
    head, separator, tail = model.partition("/")
    return tail if separator and _AWS_REGION.match(head) else model


def _fireworks_resource(model: str) -> str:
    if model.startswith(("accounts/", "FW-")) or "#" in model:
        return model
    if model.startswith(("routers/", "models/")):
        return f"accounts/fireworks/{model}"
    routed = model in ("firerouter", "auto", "auto-instant") or model.startswith("firerouter/")
    return f"accounts/fireworks/{'routers' if routed or model.endswith('-fast') else 'models'}/{model}"
