"""Names LiteLLM gives: providers (the prefix of ``provider/model``), call types, its own errors.

Source: litellm 1.106.2: `types/utils.py` (LlmProviders, CallTypes), `proxy/_types.py`, `exceptions.py`,
`types/router.py`.
"""

from __future__ import annotations

from typing import Final

PROVIDERS: Final = frozenset((
    "a2a", "a2a_agent", "ai21", "ai21_chat", "aiml", "aiohttp_openai", "amazon_nova", "anthropic", "anthropic_text",
    "apertis", "assemblyai", "auto_router", "aws_polly", "aws_textract", "azure", "azure_ai", "azure_speech",
    "azure_text", "baseten", "bedrock", "bedrock_mantle", "black_forest_labs", "bytez", "cerebras",
    "charity_engine", "chatgpt", "chutes", "clarifai", "cloudflare", "codestral", "cognition", "cohere",
    "cohere_chat", "cometapi", "compactifai", "cortecs", "cursor", "custom", "custom_openai", "darkbloom",
    "dashscope", "databricks", "datarobot", "deepgram", "deepinfra", "deepseek", "docker_model_runner", "dotprompt",
    "edenai", "elevenlabs", "empower", "fal_ai", "featherless_ai", "fireworks_ai", "friendliai", "galadriel", "gdc",
    "gemini", "gigachat", "github", "github_copilot", "gradient_ai", "groq", "helicone", "heroku", "hosted_vllm",
    "huggingface", "humanloop", "hyperbolic", "inception", "infinity", "jina_ai", "lambda_ai", "langflow",
    "langfuse", "langgraph", "lemonade", "libertai", "litellm_agent", "litellm_proxy", "llamafile", "lm_studio",
    "manus", "maritalk", "meta", "meta_llama", "milvus", "minimax", "mistral", "modelscope", "mongodb", "moonshot",
    "morph", "nadir", "nano-gpt", "nebius", "neosantara", "nlp_cloud", "novita", "nscale", "nvidia_nim",
    "nvidia_riva", "oci", "ollama", "ollama_chat", "oobabooga", "openai", "openai_like", "openrouter", "ovhcloud",
    "parasail", "perplexity", "petals", "pg_vector", "pinstripes", "poe", "predibase", "prism", "publicai",
    "qwen_ai_platform", "qwencloud", "ragflow", "recraft", "reducto", "reka", "replicate", "runwayml", "s3_vectors",
    "sagemaker", "sagemaker_chat", "sagemaker_nova", "sail", "sambanova", "sap", "scaleway", "scx-ai", "snowflake",
    "soniox", "stability", "strands_decider", "synthetic", "tencent", "tensormesh", "text-completion-codestral",
    "text-completion-inception", "text-completion-openai", "together_ai", "topaz", "transcribe", "triton",
    "typesafe", "v0", "valkey", "vercel_ai_gateway", "vertex_ai", "vertex_ai_beta", "vllm", "volcengine", "voyage",
    "wandb", "watsonx", "watsonx_text", "xai", "xiaomi_mimo", "xinference", "zai",
))  # fmt: skip

#: Call types that manage things at a provider rather than ask a model: no calls, unless they report usage or cost
#: (retrieving a finished batch or background response is the only place where its spend is seen).
MANAGEMENT: Final = (
    r"^a?_?(?:get|delete|cancel|list|retrieve|update|upload)_"
    r"|^a?(?:file|vector_store|create_(?:assistants|thread|file|fine_tuning_job|container|sandbox|batch))"
    r"|^a?_?add_message|run_code|code_interpreter_tool|mcp|send_message"
    r"|_(?:list|retrieve|retrieve_job|delete|content|get_character)$"
)

#: Errors the gateway raises by itself, before a provider was called.
REFUSALS: Final = frozenset((
    "ProxyException", "ModelAccessDeniedProxyException", "ProxyModelNotFoundError",
    "ProxyMissingRequiredParamError", "ProxyMissingParamWithoutLoadedModelError", "MockTestingParamsDisabledError",
    "HTTPException", "ProxyRateLimitError", "RateLimitUnverifiableError", "BudgetExceededError",
    "GuardrailRaisedException", "BlockedPiiEntityError", "RejectedRequestError", "RouterRateLimitError",
    "RouterRateLimitErrorBasic",
))  # fmt: skip
#: Errors without a provider's name that are no refusal: the caller or the gateway gave up waiting.
GAVE_UP: Final = frozenset({"ClientDisconnected", "CancelledError", "TimeoutError"})
