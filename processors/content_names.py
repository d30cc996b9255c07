"""Which attributes, events and log records carry what people and models say to each other, as data.

Every entry is a regular expression over a whole attribute name (event name, scope name), grouped by the producer that
uses it; sources: captures of the released libraries and the OpenTelemetry GenAI registry. What a message says is
content; what is known *about* a call (model, tokens, cost, ids, finish reasons, tool names) is not.
"""

from __future__ import annotations

from typing import Final

import polars as pl

_MANY: Final = r"(?:\..*)?"  # the attribute itself, or anything flattened below it

#: Content whatever its length.
CONTENT: Final = (
    # OpenTelemetry GenAI semantic conventions, all revisions; LiteLLM, OpenLIT, Traceloop and pydantic-ai follow them
    r"gen_ai\.(?:input|output)|gen_ai\.(?:input|output)\.(?:messages|message|value|text|content)" + _MANY,
    r"gen_ai\.(?:prompt|completion|content|message|messages|choice|choices|system_instructions?)" + _MANY,
    r"gen_ai\.(?:system|user|assistant|tool)\.message" + _MANY,
    r"gen_ai\.event\.content",
    r"gen_ai\.request\.(?:prompt|messages|input|instructions|system|suffix|tools|functions|structured_output_schema)"
    + _MANY,
    r"gen_ai\.response\.(?:text|content|contents|choices|output|message|messages|tool_calls|reasoning|thinking)"
    + _MANY,
    r"gen_ai\.tool\.(?:definitions?|args|arguments|input|output|result|results|response|description|parameters|message)"
    + _MANY,
    r"gen_ai\.tool\.[0-9]+\.(?:description|parameters)" + _MANY,
    r"gen_ai\.tool\.call\.(?:arguments|args|input|output|results?|response)" + _MANY,
    r"gen_ai\.(?:reasoning|thinking|retrieval\.(?:documents?|query(?:\.text)?)|evaluation\.explanation)" + _MANY,
    # LiteLLM
    r"llm\.request\.functions" + _MANY,
    r"llm\.(?:request|response)\.(?:prompt|messages?|text|content|body|input|output|choices)" + _MANY,
    r"guardrail_(?:request|response|input|output|information)",
    r"metadata\.(?:prompt_management_metadata|mcp_tool_call_metadata|vector_store_request_metadata)" + _MANY,
    r"(?:.*\.)?(?:previous_models|proxy_server_request|raw_request|raw_response|stringified_raw_response)" + _MANY,
    # OpenInference
    r"(?:input|output)\.value",
    r"llm\.(?:input_messages|output_messages|prompts?|completions?|choices|tools|function_call|prompt_template)"
    + _MANY,
    r"(?:llm|embedding)\.invocation_parameters",
    r"embedding\.(?:embeddings|text|vector)" + _MANY,
    r"(?:retrieval\.documents|document\.content|document\.metadata)" + _MANY,
    r"reranker\.(?:query|input_documents|output_documents)" + _MANY,
    r"tool\.(?:description|parameters|json_schema|arguments|input|output|result)" + _MANY,
    r"(?:message|messages|message_content|tool_call)\.(?:content|contents|text|tool_calls|image|function\.arguments)"
    + _MANY,
    r"(?:image|audio)\.(?:url|data|transcript)",
    # OpenLLMetry (Traceloop) and its vector database events
    r"traceloop\.entity\.(?:input|output)",
    r"traceloop\.prompt\.(?:template|template_variables)" + _MANY,
    r"db\.(?:query\.(?:result|embeddings|text|parameter)|search\.(?:query|result|embeddings))" + _MANY,
    # pydantic-ai, Logfire
    r"(?:pydantic_ai\.)?all_messages(?:_events)?|model_request_parameters|final_result|events",
    r"tool_(?:arguments|args|response|result|input|output|parameters|definitions)|request_data|response_data",
    # Vercel AI SDK
    r"ai\.prompt" + _MANY,
    r"ai\.response\.(?:text|object|reasoning|reasoningText|toolCalls|files|content|sources|providerMetadata)" + _MANY,
    r"ai\.toolCall\.(?:args|input|result|output|error)",
    r"ai\.(?:value|values|embedding|embeddings|documents|result|results|schema|object|text|messages|input|output)"
    + _MANY,
    r"ai\.request\.body",
    # Langfuse, LangSmith, MLflow, Weave and others that write OTLP
    r"langfuse\.(?:observation|trace|generation)\.(?:input|output|prompt|completion)" + _MANY,
    r"mlflow\.span(?:Inputs|Outputs)|mlflow\.trace(?:Inputs|Outputs)",
    r"(?:langsmith|weave|crewai|haystack|smolagents|lk|strands|dspy|agno)\..*(?:input|output|prompt|completion|messages?|task_description)s?",
    # Coding agents: Claude Code, Codex, Gemini CLI, Copilot
    r"(?:user_|assistant_|system_)?prompt(?:_preview|_text)?|(?:system_)?reminders?|new_context",
    r"assistant_response|response(?:\.model_output|_text)|request_text|response|body|model_output",
    r"arguments|function_args|output|full_command|bash_command|command|command_line|stdin|stdout|stderr|diff|tools",
    # MCP
    r"mcp\.(?:request|response|tool)\.(?:arguments?|params|result|content)" + _MANY,
    # Raw traffic, and the command line of an agent, which is where its prompt stands
    r"(?:http\.)?(?:request|response)\.body(?:\.(?:content|text|json|value))?",
    r"process\.command(?:_line|_args)",
)
#: Of the raw request and response that LiteLLM puts under ``llm.<provider>.``, only this is not content.
RAW: Final = (r"llm\.[^.]+\..+",)
RAW_SAFE: Final = (
    r"llm\.(?:request|response|usage|token_count|cost|chat|vendor|headers|watsonx)\..+",
    (
        r"llm\.[^.]+\.(?:id|object|created|created_at|completed_at|model|usage|n|stream|stream_options|temperature|top_p|top_k"
        r"|max_tokens|max_completion_tokens|max_output_tokens|max_tool_calls|service_tier|system_fingerprint|user|status|type"
        r"|role|stop_reason|finish_reason|finish_reasons|index|tool_choice|parallel_tool_calls|encoding_format|dimensions"
        r"|previous_response_id|truncation|store|seed|presence_penalty|frequency_penalty|reasoning_effort|modalities"
        r"|timeout|api_base|background|error|incomplete_details|model_group|metadata|verbosity)(?:\..*)?"
    ),
)
#: Names that match above and are not content: templates and counters.
NOT_CONTENT: Final = (
    r"gen_ai\.(?:prompt|completion)\.(?:name|id|version|label|tokens?|count)",
    r"llm\.(?:prompts?|prompt_template)\.(?:name|id|version)|ai\.prompt\.(?:name|id|version)",
)
#: Names that `PLAIN` and the net let through, whatever their last word: what is known about a call.
NET_SAFE: Final = (
    r"hidden_params|ai\.telemetry\..+|traceloop\.association\..+",
    r"(?:.*[._])?(?:usage|tokens?|token_count|token_counts|costs?)\..*",
    r"gen_ai\.(?:usage|cost|token|client|server|aggregated_usage|conversation|agent|request|operation)\..*",
    r"(?:http|url|server|net|network|host|os|service|k8s|cloud|telemetry|container|deployment|db|rpc)\..*",
)
#: Names nobody listed that say content plainly: content where the value is a text and no number.
PLAIN: Final = (
    (
        r"(?:.*[._/-])?(?:prompts?|completions?|messages|chat_history|transcript|transcription"
        r"|(?:user|system|assistant|model|llm|agent|human|ai|bot)[._-](?:message|query|question|input|output|prompt|response"
        r"|reply|answer|instructions?|text))(?:\.[0-9]+)*"
    ),
    r".*[a-z0-9](?:Prompts?|Completions?|Messages|Transcript)",
)
#: The net for names nobody listed: content where the name ends like this and the text is longer than `NET_LENGTH`.
NET: Final = (
    (
        r"(?:.*[._/-])?(?:prompts?|completions?|messages?|contents?|instructions?|arguments|args|inputs?|outputs?|query|queries"
        r"|answers?|questions?|documents?|text|texts|response|responses|request|results?|transcript|transcription|history"
        r"|conversation|chat|reasoning|thinking|thoughts?|body|payload|data|value|values|params|parameters|variables|template)"
        r"(?:\.[0-9]+)*"
    ),
    (
        r".*[a-z0-9](?:Prompts?|Completions?|Messages?|Contents?|Instructions?|Arguments|Args|Inputs?|Outputs?|Query|Answers?"
        r"|Questions?|Documents?|Text|Response|Request|Results?|Transcript|History|Reasoning|Thinking|Body|Payload)"
    ),
)
NET_LENGTH: Final = 64
#: A text anywhere that is itself a chat: JSON or Python's spelling of it, also escaped inside other JSON.
CHAT: Final = (
    r"""["']messages\\*["'][ ]{0,2}:[ ]{0,2}\\*["']?\[\\*["']?\{"""
    r"""|["'](?:content|parts|tool_calls|completion)\\*["'][ ]{0,2}:[ ]{0,2}(?:\\*["'][^"'\\]|\[\\*["']?[^\]])"""
    r"""|["']type\\*["'][ ]{0,2}:[ ]{0,2}\\*["'](?:text|input_text|output_text|tool_use|tool_result)\\*["'][ ]{0,2},"""
    r"""|["'](?:prompt|input|output)\\*["'][ ]{0,2}:[ ]{0,2}\\*["'][^"'\\]{64}"""
)

#: Literals of which every chat holds one: looking for them first is four times faster.
CHAT_SIGNS: Final = "|".join(
    (
        *(f"{word}{end}" for word in ("messages", "content", "parts", "tool_calls") for end in ('"', "'", r"\\")),
        *(f"{word}{end}" for word in ("completion", "prompt", "input", "output") for end in ('"', "'", r"\\")),
        '"type',
        "'type",
    )
)

#: Events and log records made to carry content: every text on them is content, but for `EVENT_SAFE`.
CONTENT_EVENTS: Final = (
    r"gen_ai\.(?:content\..+|(?:system|user|assistant|tool)\.message|choice|prompt|completion)",
    r"(?:claude_code\.|codex\.|gemini_cli\.|copilot_chat\.)?(?:user_prompt|assistant_response|api_request_body|api_response_body)",
)
EVENT_SAFE: Final = (
    r"event[._](?:name|sequence|timestamp|kind)|role|index|id|finish_reason|type|name|model|slug|prompt[._](?:id|length|name)",
    r"gen_ai\.(?:system|provider\.name|operation\.name|request\.model|response\.(?:id|model|finish_reasons)|tool\.(?:name|call\.id))",
    r"(?:session|user|organization|app|terminal|conversation|team|installation|service|telemetry|enduser)\..+",
    r"(?:auth_mode|auth_type|originator|department|.*_length|.*_id|.*_tokens?|.*_count)",
)
#: Texts about a failure; they quote what was sent.
ERROR_TEXTS: Final = (
    r"exception|exception\.message|error|error\.message|error_message|error_str|error\.description",
    r"(?:.*\.)?(?:error|exception)\.(?:message|description|details?|body|text)|(?:.*\.)?error_(?:message|str|text|details?|body)",
    r"llm\.[^.]+\.(?:error|incomplete_details)|otel\.status_description",
)
ERROR_TYPES: Final = (r"(?:.*[._])?(?:exception|error)[._]type",)
STACK_TRACES: Final = (r"(?:.*[._])?(?:stack_?trace|traceback|exc_info|code\.stacktrace|stack)",)

#: A record with such an attribute, or in such a scope, belongs to an LLM call.
GENAI_NAMES: Final = (
    r"(?:gen_ai|llm|ai|openinference|traceloop|litellm|pydantic_ai|langfuse|langsmith|mlflow|embedding|openai|anthropic)\..+",
    r"metadata\.user_api_key.*|hidden_params|model_request_parameters|claude_code\..+|codex\..+|gemini_cli\..+|copilot_chat\..+",
)
GENAI_EVENTS: Final = (r"(?:gen_ai|claude_code|codex|gemini_cli|copilot_chat|ai|llm)\..+",)
GENAI_SCOPES: Final = (
    (
        r"ai|.*(?:litellm|openinference|openlit|traceloop|gen_?ai|genai|openai|anthropic|pydantic.?ai|langchain|langgraph"
        r"|llama.?index|bedrock|vertexai|cohere|mistral|ollama|groq|together|langfuse|claude_code|codex|gemini|copilot|agents).*"
    ),
)
#: Spelling of a failure that comes out of an LLM library, found in the text itself.
GENAI_FAILURES: Final = (
    r"litellm|openai|anthropic|Error code: [0-9]{3} - |google\.(?:genai|api_core)|vertexai|botocore|cohere|mistralai"
    r"|pydantic_ai|langchain|instructor|input_value=|LLM|ContextWindow|ContentPolicy|model_group|completion|prompt|messages"
)


def named(column: str, patterns: tuple[str, ...]) -> pl.Expr:
    """True where the whole text of ``column`` is one of ``patterns``; no text is none of them."""
    return pl.col(column).str.contains(f"^(?s:{'|'.join(patterns)})$").fill_null(False)
