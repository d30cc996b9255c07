"""What may be kept of a failure's text when content may not: the sentences that providers and gateways write.

An exception's text quotes whatever it likes, so nothing can be cut out of it safely; instead only known phrases, whose
variable parts are numbers, are taken over. Everything else becomes ``[...]``. The class and code of a failure have
attributes of their own and are not touched.
"""

from __future__ import annotations

from typing import Final

import polars as pl

#: Stands for what was left out.
GAP: Final = "[...]"
_CLASSES: Final = (
    "APIConnection|APIStatus|APITimeout|APIResponseValidation|API|Authentication|BadGateway|BadRequest|BudgetExceeded|Conflict"
    "|ContentPolicyViolation|ContextWindowExceeded|Connect|Connection|ConnectTimeout|HTTP|HTTPStatus|Internal|InternalServer"
    "|InvalidRequest|JSONDecode|JSONSchemaValidation|Key|NotFound|Overloaded|PermissionDenied|ProviderSpecific|Proxy|RateLimit"
    "|ReadTimeout|Read|RouterRateLimit|ServiceUnavailable|Timeout|Type|UnprocessableEntity|UnsupportedParams|Validation|Value"
    "|Anthropic|OpenAI|Azure|Bedrock|VertexAI|Gemini|Cohere|Mistral|Groq|Ollama|HuggingFace|OpenRouter|ResponseError"
)
PHRASES: Final = (
    rf"(?:(?:litellm|openai|anthropic|httpx|google|botocore|requests|aiohttp)\.)?(?:{_CLASSES})(?:Error|Exception)",
    r"litellm\.Timeout",
    r"Error code: [0-9]{3}|[Ss]tatus[_ ]?[Cc]ode:? ?[0-9]{3}|HTTP/[0-9.]{1,3} [0-9]{3}",
    r"[Rr]ate limit (?:reached|exceeded)|Too Many Requests",
    (
        r"on (?:requests|tokens|input tokens|output tokens) per (?:min|minute|hour|day)(?: \([A-Z]{2,5}\))?"
        r"(?:: Limit [0-9]+)?"
    ),
    r"Limit:? [0-9]+|Used:? [0-9]+|Requested:? [0-9]+|Current: [0-9]+",
    r"[Pp]lease (?:try again|retry) in [0-9]{1,6}(?:\.[0-9]{1,6})?(?:ms|s|m|h| seconds)",
    r"maximum context length is [0-9]+ tokens|you requested [0-9]+ tokens|resulted in [0-9]+ tokens",
    r"prompt is too long: [0-9]+ tokens > [0-9]+ maximum|Input is too long|exceeds? the context window",
    r"(?:rate_limit|invalid_request|authentication|permission|not_found|overloaded|api|server|billing|timeout|proxy)_error",
    (
        r"rate_limit_exceeded|context_length_exceeded|invalid_api_key|insufficient_quota|model_not_found|content_filter"
        r"|request_too_large|billing_hard_limit_reached|no_db_connection|budget_exceeded|invalid_prompt|unsupported_parameter"
    ),
    r"RESOURCE_EXHAUSTED|INVALID_ARGUMENT|UNAVAILABLE|PERMISSION_DENIED|UNAUTHENTICATED|DEADLINE_EXCEEDED|NOT_FOUND|INTERNAL",
    (
        r"Incorrect API key provided|[Ii]nvalid (?:API key|x-api-key|proxy server token passed)|Authentication Error"
        r"|Missing credentials|No api key passed in|No connected db"
    ),
    r"exceeded your current quota|check your plan and billing details|credit balance is too low",
    r"Budget has been exceeded!|Current cost: [0-9]+(?:\.[0-9]+)?|Max budget: [0-9]+(?:\.[0-9]+)?|ExceededBudget",
    r"content management policy|content filtering policy|safety system",
    r"[Mm]odel not found|does not exist|not supported with this model|Unsupported value|Unsupported parameter",
    r"[Ii]nternal [Ss]erver [Ee]rror|[Ss]ervice [Uu]navailable|[Bb]ad [Gg]ateway|[Gg]ateway [Tt]imeout|Overloaded",
    r"The server had an error|The model is overloaded|[Tt]emporarily unavailable",
    r"[Rr]equest timed out|[Tt]imed out|Connection (?:error|refused|aborted|reset by peer|timeout)",
    r"Cannot connect to host",
    r"Name or service not known|certificate verify failed|Server disconnected|Timeout passed=[0-9.]{1,8}",
    r"Failed after [0-9]+ attempts|LiteLLM Retried: [0-9]+ times|LiteLLM Max Retries: [0-9]+|Max retries exceeded",
    r"Violated guardrail policy|[Gg]uardrails?|[Vv]iolated|[Bb]locked|[Pp]rompt.?injection",
    r"[Cc]ontent.?(?:policy|filter)|access denied",
    r"Max parallel requests? (?:limit )?reached|parallel requests|(?:TPM|RPM|tpm|rpm) [Ll]imit|spend limit",
    r"Invalid model name passed in|(?:[Kk]ey|[Tt]eam|[Uu]ser|[Oo]rg|[Pp]roject) not allowed to access model",
    r"(?:Expired Key|[Kk]ey is expired|expired|Malformed API Key|Unauthori[sz]ed|unauthori[sz]ed|[Tt]oken not found)",
    r"LiteLLM Virtual Key expected|over budget|[Bb]udget exceeded",
    r"No deployments available|No fallback model group found|Available Model Group Fallbacks=None|in cooldown",
    r"[0-9]+ validation errors? for|Expecting value: line [0-9]+ column [0-9]+ \(char [0-9]+\)|Field required",
)
_PHRASE: Final = "|".join(PHRASES)


def known_phrases(texts: pl.Series) -> pl.Series:
    """What is known of each text, with `GAP` for the rest; a text made of one phrase, and '', stay as they are."""
    phrases = texts.str.extract_all(_PHRASE).list.unique(maintain_order=True).list.join(f" {GAP} ")
    frame = pl.DataFrame({"text": texts, "known": phrases})
    known = pl.col("known")
    cut = pl.when(known == "").then(pl.lit(GAP)).otherwise(known + f" {GAP}")
    whole = (pl.col("text").str.strip_chars(" .!\r\n") == known.str.strip_chars(".!")) | (pl.col("text") == cut)
    return frame.select(pl.when(whole).then("text").otherwise(cut)).to_series().alias(texts.name)
