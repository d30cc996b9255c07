"""A provider's many spellings, told as LiteLLM tells them: its price table is keyed by its own names."""

from __future__ import annotations

import re
from typing import Final

#: semconv and instrumentation spellings (lower case) -> LiteLLM's. A spelling missing here is LiteLLM's already.
_SPELLINGS: Final = {
    "aws": "bedrock",
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "amazon": "bedrock",
    "aws.sagemaker": "sagemaker",
    "az.ai.openai": "azure",
    "azure.ai.openai": "azure",
    "azure.openai": "azure",
    "azure_openai": "azure",
    "az.ai.inference": "azure_ai",
    "azure.ai.inference": "azure_ai",
    "azure.ai.foundry": "azure_ai",
    "gcp": "vertex_ai",
    "gcp.vertex_ai": "vertex_ai",
    "google_vertex": "vertex_ai",
    "vertexai": "vertex_ai",
    "vertex_ai_beta": "vertex_ai",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "google": "gemini",
    "google_ai_studio": "gemini",
    "google_genai": "gemini",
    "fireworks": "fireworks_ai",
    "ibm.watsonx.ai": "watsonx",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot_ai": "moonshot",
    "togetherai": "together_ai",
    "together": "together_ai",
    "x_ai": "xai",
    "x.ai": "xai",
    "alibaba": "dashscope",
    "alibaba_cloud": "dashscope",
}
#: Where one provider's models stand under several of LiteLLM's providers.
_ALSO: Final = {
    "openai": ("text-completion-openai",),
    "azure": ("azure_text",),
    "anthropic": ("anthropic_text",),
    "cohere": ("cohere_chat",),
    "mistral": ("codestral", "text-completion-codestral"),
}
#: Hosts that an OpenAI-compatible client may be pointed at; it says `openai` whoever answers.
_HOSTS: Final = {
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.cohere.com": "cohere",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks_ai",
    "api.groq.com": "groq",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.perplexity.ai": "perplexity",
    "api.sambanova.ai": "sambanova",
    "api.together.ai": "together_ai",
    "api.together.xyz": "together_ai",
    "api.x.ai": "xai",
    "ai-gateway.vercel.sh": "vercel_ai_gateway",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "generativelanguage.googleapis.com": "gemini",
    "integrate.api.nvidia.com": "nvidia_nim",
    "openrouter.ai": "openrouter",
}
_HOST_PATTERNS: Final = (
    (re.compile(r"\.openai\.azure\.com$|\.cognitiveservices\.azure\.com$"), "azure"),
    (re.compile(r"\.services\.ai\.azure\.com$|\.models\.ai\.azure\.com$"), "azure_ai"),
    (re.compile(r"(^|[.-])aiplatform\.(\w+\.)?googleapis\.com$"), "vertex_ai"),
    (re.compile(r"^bedrock(-runtime)?[.-].*amazonaws\.com"), "bedrock"),
)
#: What a client says that only knows the protocol it speaks, or the proxy it speaks to.
_VAGUE: Final = frozenset({"", "openai", "litellm", "litellm_proxy"})

_AWS_REGION: Final = re.compile(r"^bedrock(?:-runtime|-mantle)?(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
_VERTEX_HOST: Final = re.compile(r"^([a-z]+(?:-[a-z]+\d+)?)-aiplatform\.googleapis\.com$|^aiplatform\.(\w+)\.rep\.")
_OPENAI_REGIONS: Final = {"eu.api.openai.com": "eu", "us.api.openai.com": "us"}


def litellm_name(provider: str) -> str:
    """LiteLLM's name of a provider."""
    lower = provider.strip().lower()
    return _SPELLINGS.get(lower, lower)


def is_vague(provider: str) -> bool:
    """Whether this (LiteLLM's spelling) may be said of a call that somebody else served."""
    return provider in _VAGUE


def providers_for(provider: str, host: str) -> tuple[str, ...]:
    """The providers (LiteLLM's names) under which to look a model up, most likely first.

    The host the call went to is believed where the provider's name may be the client's protocol only.
    """
    name = litellm_name(provider)
    served_by = provider_at(host) if is_vague(name) or provider.lower() == "gcp.gen_ai" else ""
    name = served_by or name
    return (name, *_ALSO.get(name, ()))


def provider_at(host: str) -> str:
    """The provider that answers at a host; '' when the host is nobody's we know."""
    known = _HOSTS.get(host)
    return known or next((name for pattern, name in _HOST_PATTERNS if pattern.search(host)), "")


def aws_region(host: str) -> str:
    """The AWS region in a Bedrock host name, or ''."""
    match = _AWS_REGION.match(host)
    return match[1] if match else ""


def openai_residency(host: str) -> str:
    """The region of an OpenAI host with regional processing, which costs more; or ''."""
    return _OPENAI_REGIONS.get(host, "")


def vertex_location(host: str, location: str) -> str:
    """Where Vertex AI served the call, by the URL's path or host; '' when global or unknown."""
    match = _VERTEX_HOST.match(host)
    place = location or (match[1] or match[2] if match else "")
    return "" if place == "global" else place


def sells_as(entry_provider: str) -> str:
    """The provider an entry's ``litellm_provider`` is called under (`vertex_ai-language-models` is `vertex_ai`)."""
    for family in ("vertex_ai", "fireworks_ai", "bedrock"):
        if entry_provider.startswith(family) and entry_provider != "bedrock_mantle":
            return family
    return entry_provider


def sells(provider: str, entry_provider: str | None) -> bool:
    """Whether an entry of ``entry_provider`` prices calls to ``provider`` (LiteLLM's `_check_provider_match`)."""
    if entry_provider is None or entry_provider == provider or provider in ("", "litellm_proxy", "github", "nadir"):
        return True
    if provider == "azure_ai":
        return entry_provider in ("azure", "openai")
    family = "bedrock" if provider.startswith("bedrock") else provider
    return family in ("vertex_ai", "fireworks_ai", "bedrock") and entry_provider.startswith(family)
