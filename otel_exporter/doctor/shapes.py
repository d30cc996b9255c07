"""The producers we know by sight: how their records are told apart, and what they are called.

Calls are recognised by attributes (`processors.dialects`); here scopes may speak too, because the reader wants to know
which library to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otel_exporter.doctor.facts import RAW, RAW_HAS_ITS_CALL, SEMCONV, V1, V2, has


@dataclass(frozen=True)
class Shape:
    """One way of describing LLM calls.

    Attributes:
        name: short name, as in the output for programs.
        title: what people call it.
        page: its page in docs/clients.
        spans: condition over `otel_traces`; '' when it sends no spans.
        scope: condition over ``ScopeName`` that holds for its spans, log records and metrics alike.
        records: condition over `otel_logs` beside ``scope``.
        metrics: what its metrics' names start with.
    """

    name: str
    title: str
    page: str
    spans: str = ""
    scope: str = ""
    records: str = ""
    metrics: tuple[str, ...] = ()


def _starts(*prefixes: str) -> str:
    return "(" + " OR ".join(f"startsWith(ScopeName, '{prefix}')" for prefix in prefixes) + ")"


def _agent(prefix: str) -> str:
    """Log records of a coding agent name their event in an attribute, the body or the event name."""
    places = ("LogAttributes['event.name']", "Body", "EventName")
    return "(" + " OR ".join(f"startsWith({place}, '{prefix}.')" for place in places) + ")"


_TRACELOOP: Final = (
    "match(ScopeName, '^opentelemetry[.]instrumentation[.](openai([.]v[01])?|anthropic|bedrock|cohere|ollama|mistralai"
    "|groq|together|vertexai|google_generativeai|alephalpha|replicate|watsonx|sagemaker|writer|langchain|llamaindex"
    "|crewai|haystack|agno|mcp|openai_agents)$')"
)
_USAGE: Final = has(
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.total"
)

#: The first that applies wins.
SHAPES: Final = (
    Shape("litellm.v2", "LiteLLM v2", "litellm-{side}.md", spans=V2),
    Shape("litellm.semconv", "LiteLLM v1 with the semconv opt-in", "litellm-{side}.md", spans=SEMCONV),
    Shape("litellm.v1", "LiteLLM v1", "litellm-{side}.md", spans=f"({V1} OR ({RAW} AND {RAW_HAS_ITS_CALL}))"),
    Shape("litellm.raw", "LiteLLM v1, raw spans only", "litellm-{side}.md", spans=RAW),
    Shape(
        "litellm.log",
        "LiteLLM, log events and metrics",
        "litellm-proxy.md",
        spans="0",
        scope="ScopeName IN ('litellm', 'litellm.integrations.opentelemetry')",
    ),
    Shape("openinference", "OpenInference", "openinference.md", scope=_starts("openinference.")),
    Shape("openlit", "OpenLIT", "openlit.md", scope=_starts("openlit.")),
    Shape("traceloop", "OpenLLMetry (Traceloop)", "traceloop.md", scope=_TRACELOOP),
    Shape("anthropic.sdk", "Anthropic SDK, its own spans", "otel-genai.md", scope=_starts("com.anthropic.sdk")),
    Shape("vercel", "Vercel AI SDK", "vercel-ai.md", spans=f"({has('ai.operationId')} OR ScopeName = 'ai')"),
    Shape("pydantic_ai", "pydantic-ai", "agents.md", scope="ScopeName IN ('pydantic-ai', 'pydantic_ai')"),
    Shape(
        "claude_code",
        "Claude Code",
        "claude-code.md",
        scope=_starts("com.anthropic.claude_code"),
        records=_agent("claude_code"),
        metrics=("claude_code.",),
    ),
    Shape("codex", "Codex", "codex.md", scope=_starts("codex"), records=_agent("codex"), metrics=("codex.",)),
    Shape(
        "gemini_cli",
        "Gemini CLI",
        "gemini-cli.md",
        scope=_starts("gemini-cli", "gemini_cli"),
        records=_agent("gemini_cli"),
        metrics=("gemini_cli.",),
    ),
    Shape(
        "copilot_chat",
        "Copilot Chat",
        "copilot-chat.md",
        scope=_starts("copilot-chat", "copilot_chat"),
        records=_agent("copilot_chat"),
        metrics=("copilot_chat.",),
    ),
    Shape(
        "otel.genai",
        "OpenTelemetry GenAI",
        "otel-genai.md",
        scope=_starts("opentelemetry.instrumentation.genai.", "opentelemetry.util.genai", "opentelemetry.instrumentation.openai_v2"),
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
    named = {shape: [f"startsWith(MetricName, '{prefix}')" for prefix in shape.metrics] for shape in SHAPES}
    return _choice({shape.name: _either(*starts, shape.scope) for shape, starts in named.items()})


def _either(*conditions: str) -> str:
    return " OR ".join(condition for condition in conditions if condition)


def _choice(conditions: dict[str, str]) -> str:
    cases = ", ".join(f"{condition}, '{name}'" for name, condition in conditions.items() if condition)
    return f"multiIf({cases}, '')"
