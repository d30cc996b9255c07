"""The producers we know by sight: how their records are told apart, and what they are called.

Calls are recognised by attributes (`processors.dialects`); here scopes may speak too, because the reader wants to know
which library to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otel_exporter.doctor.facts import BY_CALLBACK, RAW, RAW_HAS_ITS_CALL, SEMCONV, V1, V2, has


@dataclass(frozen=True)
class Shape:
    """One way of describing LLM calls.

    Attributes:
        name: short name, as in the output for programs.
        title: what people call it.
        page: its page in docs/clients.
        scope: condition over ``ScopeName`` by which its spans, log records and metrics are known; '' when it is not.
        spans, records, metrics: further conditions over `otel_traces`, `otel_logs` and the tables of metrics.
        is_program: whether the service that sends it is the producer, whose version is then the service's.
    """

    name: str
    title: str
    page: str
    scope: str = ""
    spans: str = ""
    records: str = ""
    metrics: str = ""
    is_program: bool = False


def _starts(*prefixes: str) -> str:
    return "(" + " OR ".join(f"startsWith(ScopeName, '{prefix}')" for prefix in prefixes) + ")"


def _agent(name: str, title: str, *scopes: str) -> Shape:
    """A coding agent. Its log records name their event in an attribute, the body or the event name."""
    places = ("LogAttributes['event.name']", "Body", "EventName")
    return Shape(
        name,
        title,
        f"{name.replace('_', '-')}.md",
        scope=_starts(*scopes),
        records=" OR ".join(f"startsWith({place}, '{name}.')" for place in places),
        metrics=f"startsWith(MetricName, '{name}.')",
        is_program=True,
    )


_LITELLM: Final = "litellm-{side}.md"
_BY_LITELLM: Final = "ScopeName IN ('litellm', 'litellm.integrations.opentelemetry')"
_TRACELOOP: Final = (
    "match(ScopeName, '^opentelemetry[.]instrumentation[.](openai([.]v[01])?|anthropic|bedrock|cohere|ollama|mistralai"
    "|groq|together|vertexai|google_generativeai|alephalpha|replicate|watsonx|sagemaker|writer|langchain|llamaindex"
    "|crewai|haystack|agno|mcp|openai_agents)$')"
)
#: From version 7 on nothing but the scope's name tells whose conventional spans these are.
_VERCEL: Final = (
    f"({has('ai.operationId')} OR (ScopeName = 'gen_ai' AND ResourceAttributes['telemetry.sdk.language'] = 'nodejs'))"
)
_USAGE: Final = has(
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.total"
)

#: The first that applies wins.
SHAPES: Final = (
    Shape("litellm.v2", "LiteLLM v2", _LITELLM, spans=V2),
    Shape("litellm.semconv", "LiteLLM v1 (semconv opt-in)", _LITELLM, spans=SEMCONV),
    Shape("litellm.v1", "LiteLLM v1 (default)", _LITELLM, spans=f"{V1} OR ({RAW} AND {RAW_HAS_ITS_CALL})"),
    Shape("litellm.raw", "LiteLLM v1 (raw spans only)", _LITELLM, spans=RAW),
    Shape("litellm.callback", "LiteLLM, Tokentide's callback", "litellm-callback.md", records=BY_CALLBACK),
    Shape("litellm", "LiteLLM", "litellm-proxy.md", records=_BY_LITELLM, metrics=_BY_LITELLM),
    Shape("openinference", "OpenInference", "openinference.md", scope=_starts("openinference.")),
    Shape("openlit", "OpenLIT", "openlit.md", scope=_starts("openlit.")),
    Shape("traceloop", "OpenLLMetry (Traceloop)", "traceloop.md", scope=_TRACELOOP),
    Shape("anthropic.sdk", "Anthropic SDK, its own spans", "otel-genai.md", scope=_starts("com.anthropic.sdk")),
    Shape("vercel", "Vercel AI SDK", "vercel-ai.md", spans=_VERCEL),
    Shape("pydantic_ai", "pydantic-ai", "agents.md", scope="ScopeName IN ('pydantic-ai', 'pydantic_ai')"),
    _agent("claude_code", "Claude Code", "com.anthropic.claude_code"),
    _agent("codex", "Codex", "codex"),
    _agent("gemini_cli", "Gemini CLI", "gemini-cli", "gemini_cli"),
    _agent("copilot_chat", "Copilot Chat", "copilot-chat", "copilot_chat"),
    Shape(
        "otel.genai",
        "OpenTelemetry GenAI",
        "otel-genai.md",
        scope=_starts(
            "opentelemetry.instrumentation.genai.",
            "opentelemetry.util.genai",
            "opentelemetry.instrumentation.openai_v2",
        ),
    ),
    Shape("unknown", "unknown producer of usage", "otel-genai.md", spans=_USAGE),
)
TITLES: Final = {shape.name: shape for shape in SHAPES}


def of_spans() -> str:
    """The shape of a span; '' for spans that belong to none."""
    return _choice({shape.name: _either(shape.spans, shape.scope) for shape in SHAPES})


def of_records() -> str:
    """The shape of a log record."""
    return _choice({shape.name: _either(shape.records, shape.scope) for shape in SHAPES})


def of_metrics() -> str:
    """The shape of a metric point."""
    return _choice({shape.name: _either(shape.metrics, shape.scope) for shape in SHAPES})


def _either(*conditions: str) -> str:
    return " OR ".join(condition for condition in conditions if condition)


def _choice(conditions: dict[str, str]) -> str:
    cases = ", ".join(f"{condition}, '{name}'" for name, condition in conditions.items() if condition)
    return f"multiIf({cases}, '')"


def version() -> str:
    """The version of the producer: its scope's, or the service's where the service is the producer."""
    programs = ", ".join(f"'{shape.name}'" for shape in SHAPES if shape.is_program)
    of_scope = (
        "if(startsWith(shape, 'litellm') AND ScopeName NOT IN ('litellm', 'tokentide.litellm'), '', ScopeVersion)"
    )
    return f"if(shape IN ({programs}), ResourceAttributes['service.version'], {of_scope})"
