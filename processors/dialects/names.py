"""The semantic conventions' spelling of providers and operations, and what can be told from names.

Source: OpenTelemetry GenAI registry (`gen_ai.provider.name`, `gen_ai.operation.name`), LiteLLM's provider names.
"""

from __future__ import annotations

from typing import Final

import polars as pl

PROVIDERS: Final = {
    "openai.chat": "openai",
    "openai.responses": "openai",
    "openai.completion": "openai",
    "openai.embedding": "openai",
    "text-completion-openai": "openai",
    "chatgpt": "openai",
    "anthropic.messages": "anthropic",
    "anthropic_text": "anthropic",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "bedrock_mantle": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "sagemaker": "aws.sagemaker",
    "sagemaker_chat": "aws.sagemaker",
    "azure": "azure.ai.openai",
    "azure_text": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure.openai": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "az.ai.inference": "azure.ai.inference",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google.vertex": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google.generative-ai": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "cohere_chat": "cohere",
    "xai": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
    "watsonx_text": "ibm.watsonx.ai",
}
OPERATIONS: Final = {
    "completion": "chat",
    "acompletion": "chat",
    "completion_with_retries": "chat",
    "chat_completion": "chat",
    "chat.completions": "chat",
    "chat.completion": "chat",
    "chat.completion.chunk": "chat",
    "message": "chat",
    "anthropic_messages": "chat",
    "aanthropic_messages": "chat",
    "messages.create": "chat",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "embeddings.create": "embeddings",
    "embed": "embeddings",
    "aresponses": "responses",
    "response": "responses",
    "_aresponses_websocket": "responses",
    "atext_completion": "text_completion",
    "agenerate_content": "generate_content",
    "aimage_generation": "image_generation",
    "aimage_edit": "image_edit",
    "atranscription": "transcription",
    "aspeech": "speech",
    "arerank": "rerank",
    "asearch": "search",
    "amoderation": "moderation",
    "litellm.moderation": "moderation",
    "_arealtime": "realtime",
    "pass_through_endpoint": "pass_through",
}
#: A model name that only one provider gives; on a cloud that resells it, the telemetry names the cloud.
_MODELS: Final = {
    "aws.bedrock": r"^(?:[a-z]{2,6}\.)?(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|qwen|openai)\.",
    "openai": r"^(?:chatgpt|gpt-|o[1-9](?:-|$)|text-embedding-|(?:text|omni)-moderation|dall-e|whisper|tts-|codex)",
    "anthropic": r"^claude-",
    "gcp.gemini": r"^(?:gemini|imagen|veo)-",
    "mistral_ai": r"^(?:mistral|ministral|codestral|pixtral|magistral|devstral)-",
    "cohere": r"^(?:command|embed-(?:english|multilingual|v)|rerank-)",
    "deepseek": r"^deepseek-",
    "x_ai": r"^grok-",
    "perplexity": r"^sonar",
}
#: The HTTP status an error class stands for, where only the class is told.
ERROR_CODES: Final = {
    "BadRequestError": "400",
    "ContextWindowExceededError": "400",
    "ContentPolicyViolationError": "400",
    "UnsupportedParamsError": "400",
    "invalid_request_error": "400",
    "AuthenticationError": "401",
    "authentication_error": "401",
    "PermissionDeniedError": "403",
    "permission_error": "403",
    "NotFoundError": "404",
    "not_found_error": "404",
    "ConflictError": "409",
    "UnprocessableEntityError": "422",
    "RateLimitError": "429",
    "rate_limit_error": "429",
    "InternalServerError": "500",
    "server_error": "500",
    "api_error": "500",
    "BadGatewayError": "502",
    "ServiceUnavailableError": "503",
    "OverloadedError": "529",
    "overloaded_error": "529",
}


def provider_name(said: pl.Expr) -> pl.Expr:
    """A producer's provider name in the registry's spelling; an unknown one stays as said, ``unknown`` is none."""
    name = said.str.to_lowercase()
    return pl.when(name != "unknown").then(name.replace(PROVIDERS))


def operation_name(said: pl.Expr) -> pl.Expr:
    """A producer's operation name in the registry's spelling; an unknown one stays as said."""
    return said.str.to_lowercase().replace(OPERATIONS)


def provider_of_model(model: pl.Expr) -> pl.Expr:
    """The provider that a bare model name gives away; unknown when several serve it."""
    name = model.str.to_lowercase()
    return pl.coalesce(
        pl.when(name.str.contains(pattern)).then(pl.lit(provider)) for provider, pattern in _MODELS.items()
    )


def error_class(error_type: pl.Expr) -> pl.Expr:
    """A class without its module path: ``openai.RateLimitError`` is ``RateLimitError``."""
    return error_type.str.replace(r"^(?:\w+\.)+([A-Z]\w*)$", "$1")


def error_status(error_code: pl.Expr, error_type: pl.Expr) -> pl.Expr:
    """The HTTP status: the code when it is one, else what the error's class stands for."""
    said = pl.when(error_code.str.contains(r"^[1-5]\d{2}$")).then(error_code)
    return pl.coalesce(said, error_type.replace_strict(ERROR_CODES, default=None, return_dtype=pl.String))
