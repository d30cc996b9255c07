"""What LiteLLM's dialects share. LiteLLM describes a call in three ways (`litellm_v1`, `litellm_semconv`, `litellm_v2`,
chosen by environment variables) and adds raw provider spans (`litellm_raw`); it runs in the application (SDK) or as a
gateway (proxy).

Facts used here, read in litellm 1.106.2 (`integrations/opentelemetry.py`, `integrations/otel/`) and seen in exports:

- The proxy's resource is the gateway's own; only `metadata.*` / `litellm.*` say who asked.
- `deployment.environment=production` is LiteLLM's default, not somebody's word (its resource then has `model_id`).
- On the proxy all attempts of a request carry one `litellm.call_id`, and a failed attempt repeats it as response id.
- The proxy rewrites `gen_ai.response.model` to the alias the client asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from processors.contract import Role
from processors.dialects.litellm_names import GAVE_UP, MANAGEMENT, PROVIDERS, REFUSALS
from processors.dialects.names import error_class
from processors.dialects.words import attr, first, json_at, number_at, part_of, said, says, text_list

#: The proxy's stand-in for "nobody": the owner of the master key.
PLACEHOLDER_USER: Final = "default_user_id"

PROXIED: Final = pl.col("~proxied")
FAILED: Final = pl.col("~failed")

#: The default of `OTEL_ENVIRONMENT_NAME` is not counted as said.
ENVIRONMENT: Final = pl.coalesce(
    attr("resource:deployment.environment.name"),
    pl.when(pl.col("resource:model_id").is_null() | (pl.col("resource:deployment.environment") != "production")).then(
        attr("resource:deployment.environment")
    ),
)


def billable(call_type: str, tokens: str, cost: str) -> pl.Expr:
    """Whether a record describes asking a model: not the management of files, stores and jobs, unless it bills."""
    manages = pl.col(call_type).str.contains(MANAGEMENT).fill_null(False)
    return ~manages | says(tokens) | (pl.col(cost).cast(pl.Float64, strict=False) > 0).fill_null(False)


def failed(tokens: str) -> pl.Expr:
    """Whether the call failed. On a span borrowed from the application the status may be the application's."""
    return pl.when(is_borrowed() & says(tokens)).then(False).otherwise(pl.col("@status") == 2)


def is_borrowed() -> pl.Expr:
    """LiteLLM writes on the span that happens to be active when it was given none of its own."""
    return (pl.col("@scope") != "litellm").fill_null(True)


def refused(call_type: str, answered: pl.Expr) -> pl.Expr:
    """A failure by the gateway's own hand: its own error class, or no provider in the error and no answer of one."""
    cause = error_class(first("error.type", "event:exception:exception.type"))
    passed_through = pl.col(call_type).fill_null("") == "pass_through_endpoint"
    nobody = ~says("error.llm_provider", "litellm.provider.error.llm_provider")
    by_gateway = cause.is_in(REFUSALS) | (attr("error.llm_provider") == "litellm_proxy").fill_null(False)
    unanswered = PROXIED & nobody & ~answered & ~cause.is_in(GAVE_UP).fill_null(False)
    return FAILED & ~passed_through & (by_gateway.fill_null(False) | unanswered)


def role(is_refused: pl.Expr) -> pl.Expr:
    """A refused request is no call."""
    return pl.when(is_refused).then(pl.lit(Role.REFUSAL.value)).otherwise(pl.lit(Role.CALL.value))


def identity() -> Mapping[str, pl.Expr]:
    """Ids. An attempt that failed has no answer; its call id must not be that of the attempt that succeeded."""
    call, response = attr("litellm.call_id"), attr("gen_ai.response.id")
    return {
        "gateway": pl.when(PROXIED).then(pl.lit("litellm")).otherwise(pl.lit("")),
        "response_id": pl.when(~(FAILED & (response == call).fill_null(False))).then(response),
        "call_id": pl.when(FAILED).then(call + "/failed").otherwise(call),
        "request_span": pl.when(PROXIED).then(pl.col("@parent_span_id")),
        "caller_is_gateway": PROXIED,
        "timing_is_borrowed": is_borrowed(),
        "status": pl.when(FAILED).then(pl.lit("error")).otherwise(pl.lit("ok")),
    }


def attribution(**gateway: pl.Expr) -> Mapping[str, pl.Expr]:
    """Who asked: what the gateway's key says; in the application itself, what its resource says."""
    resource = {
        "team": first("resource:team", "resource:team.name"),
        "project": first("resource:project", "resource:project.name"),
        "organization": first("resource:organization", "resource:organization.name"),
        "user_id": first("resource:user.id", "resource:user.email"),
        "session_id": attr("resource:session.id"),
        "host": first("resource:host.name", "resource:host.id"),
    }
    nobody = pl.lit(None, pl.String)
    in_application = {name: pl.when(~PROXIED).then(said) for name, said in resource.items()}
    return {
        name: pl.coalesce(gateway.get(name, nobody), in_application.get(name, nobody))
        for name in gateway | in_application
    }


def saved_by_cache(hit: pl.Expr, saved: str) -> pl.Expr:
    """What a cache hit saved: newer versions report a hit's cost as zero and the saving beside it."""
    worth_it = attr(saved).cast(pl.Float64, strict=False) > 0
    return pl.when(hit & worth_it).then(attr(saved))


def app_metadata(key: str) -> pl.Expr:
    """Request metadata that reached the span: baggage (``litellm.metadata.<key>``) or a callback's own attribute."""
    return said(pl.col(f"*.metadata.{key}").str.strip_chars('"'))


def owner(*names: str) -> pl.Expr:
    """The user owning the key, unless it is the gateway's placeholder."""
    user = first(*names)
    return pl.when(user != PLACEHOLDER_USER).then(user)


def session_in(end_user: pl.Expr) -> pl.Expr:
    """The session that Claude Code hides in Anthropic's `metadata.user_id`, as text or JSON."""
    return pl.coalesce(
        said(end_user.str.extract(r"^user_.+_account_.*_session_(.+)$", 1)), json_at(end_user, "$.session_id")
    )


def tags(sent: pl.Expr) -> pl.Expr:
    """Request tags: what the client sent, or what a callback's own attributes say."""
    lists = [text_list(text) for text in (sent, pl.col("*.metadata.tags"), pl.col("*.request_tags"))]
    return pl.coalesce([pl.when(tagged.list.len() > 0).then(tagged) for tagged in lists])


def given_model(requested: pl.Expr) -> pl.Expr:
    """The answer's model name; the proxy repeats the alias there, which is no news."""
    answered = attr("gen_ai.response.model")
    return pl.when(~(PROXIED & (answered == requested).fill_null(False))).then(answered)


def without_provider(model: pl.Expr) -> pl.Expr:
    """``openai/gpt-4o`` without LiteLLM's provider prefix; a slash in a model's own name stays."""
    prefix = model.str.extract(r"^([^/]+)/", 1)
    return pl.when(prefix.is_in(PROVIDERS)).then(model.str.replace(r"^[^/]+/", "")).otherwise(model)


def provider(*names: str) -> pl.Expr:
    """The first of these attributes that names a provider."""
    return pl.coalesce([pl.when(pl.col(name) != "Unknown").then(attr(name)) for name in names])


def provider_prefix(model: pl.Expr) -> pl.Expr:
    """LiteLLM's provider name before the first slash."""
    prefix = model.str.extract(r"^([^/]+)/", 1)
    return pl.when(prefix.is_in(PROVIDERS)).then(prefix)


def usage(text: pl.Expr) -> Mapping[str, pl.Expr]:
    """Token classes in a usage object as Python repr or JSON, of LiteLLM's, OpenAI's or Anthropic's shape."""
    prompt = part_of(text, "prompt_tokens_details", "input_tokens_details")
    completion = part_of(text, "completion_tokens_details", "output_tokens_details")
    return {
        "cache_read_tokens": _most(
            number_at(text, "cache_read_input_tokens"),
            number_at(prompt, "cached_tokens"),
            number_at(text, "prompt_cache_hit_tokens"),
        ),
        "cache_write_tokens": _most(
            number_at(text, "cache_creation_input_tokens"),
            number_at(prompt, "cache_write_tokens"),
            number_at(prompt, "cache_creation_tokens"),
        ),
        "cache_write_1h_tokens": number_at(text, "ephemeral_1h_input_tokens"),
        "reasoning_tokens": number_at(completion, "reasoning_tokens"),
        "audio_input_tokens": number_at(prompt, "audio_tokens"),
        "audio_output_tokens": number_at(completion, "audio_tokens"),
        "image_tokens": pl.coalesce(number_at(completion, "image_tokens"), number_at(prompt, "image_tokens")),
    }


def _most(*counts: pl.Expr) -> pl.Expr:
    """One count under several names: a zero beside a number only means that this name was not used."""
    return pl.max_horizontal([count.cast(pl.UInt64, strict=False) for count in counts])
