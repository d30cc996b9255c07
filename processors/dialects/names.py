"""The semantic conventions' spelling of providers and operations.

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
    "anthropic.messages": "anthropic",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "sagemaker": "aws.sagemaker",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure.openai": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "az.ai.inference": "azure.ai.inference",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google.vertex": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google.generative-ai": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "xai": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
}
OPERATIONS: Final = {
    "completion": "chat",
    "acompletion": "chat",
    "chat_completion": "chat",
    "chat.completions": "chat",
    "anthropic_messages": "chat",
    "messages.create": "chat",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "embeddings.create": "embeddings",
    "embed": "embeddings",
    "aresponses": "responses",
    "response": "responses",
    "atext_completion": "text_completion",
    "agenerate_content": "generate_content",
    "image_generation": "image_generation",
    "aimage_generation": "image_generation",
    "atranscription": "transcription",
    "aspeech": "speech",
    "arerank": "rerank",
}


def provider_name(said: pl.Expr) -> pl.Expr:
    """A producer's provider name in the registry's spelling; an unknown one stays as said."""
    return said.str.to_lowercase().replace(PROVIDERS)


def operation_name(said: pl.Expr) -> pl.Expr:
    """A producer's operation name in the registry's spelling; an unknown one stays as said."""
    return said.str.to_lowercase().replace(OPERATIONS)
