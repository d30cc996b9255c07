"""Which attributes and columns name people, name payers, or describe machines, as data.

Whole-name regular expressions, as in `processors.content_names`.
"""

from __future__ import annotations

from typing import Final

#: People: kept as they are or replaced by a keyed hash (`identity: keep | hash`).
PEOPLE: Final = (
    r"(?:user|enduser|end_user|client\.user)(?:[._](?:id|name|email|full_name|hash|account_id|account_uuid|pseudo\.id|login))?",
    r"gen_ai\.(?:user(?:\.id)?|request\.user(?:\.id)?)",
    r"llm\.(?:user|[^.]+\.user)",
    r"(?:.*\.)?user_api_key_(?:user_id|user_email|end_user_id)",
    (
        r"(?:litellm\.metadata|metadata|ai\.telemetry\.metadata|traceloop\.association\.properties|langfuse)"
        r"\.(?:user_?id|user_?email|user|end_?user(?:_id)?|userName|email)"
    ),
    r"(?:langfuse\.|openinference\.|logfire\.)?(?:user|userId|user_id|user_email|email|username)(?:\.id)?",
    (
        r"(?:.*\.)?requester_ip_address|client\.address|http\.client_ip|net\.(?:peer|sock\.peer)\.(?:ip|addr)"
        r"|network\.peer\.address|source\.address"
    ),
)
#: Payers: teams, organisations, projects, key names and hashes. Never personal data, never changed.
PAYERS: Final = (
    r"(?:team|project|organization|org|department|cost_cent(?:er|re))(?:[._].*)?",
    (
        r"(?:.*\.)?user_api_key_(?:alias|hash|team_id|team_alias|org_id|org_alias|project_id|project_alias|budget_reset_at"
        r"|request_route|.*(?:spend|budget))"
    ),
    r"litellm\.(?:team|api_key|organization|project)\..*|metadata\.team_(?:id|alias)",
)
#: Machines: addresses, names, versions, ids. Numbers and dots in them are not telephone numbers.
MACHINES: Final = (
    (
        r"(?:server|net|network|http|url|service|telemetry|host|os|process|k8s|container|cloud|deployment|code|thread|device"
        r"|faas|aws|gcp|azure|user_agent|otel|db|rpc|messaging|peer|browser|webengine|app|terminal|event)\..*"
    ),
    (
        r"gen_ai\.(?:usage|cost|request|response|client|server|token|operation|provider|conversation|agent|tool|sdk|output|openai)\..*"
        r"|gen_ai\.(?:system|framework)"
    ),
    r"llm\.(?:token_count|usage|cost|request|response|model_name|provider|system|is_streaming)(?:\..*)?",
    r"litellm\.(?:call_id|cost|provider|model_group|request|deployment|preprocessing|call_type)(?:\..*)?",
    r"ai\.(?:usage|model|settings|response|request|operationId)(?:\..*)?",
    r"(?:openai|anthropic|openlit|openinference|graph|operation|resource)\..*|model|model_id|call_type|service",
    r"(?:.*[._])?(?:id|ids|uuid|version|hash|fingerprint|timestamp|time|date|duration|ms|sequence|model|user_agent|index)",
    r"(?:.*\.)?(?:usage_object|user_agent|hidden_params)",
)

#: Columns of `observations`, by what they hold; a column that is not named here is technical.
PEOPLE_COLUMNS: Final = ("user_id", "end_user")
PAYER_COLUMNS: Final = (
    "organization", "organization_id", "team", "team_id", "project", "project_id", "api_key_alias", "api_key_hash",
)  # fmt: skip
#: Ours or derived from the credential: never text of the sender.
OWN_COLUMNS: Final = (
    "tenant", "source", "role", "trace_id", "span_id", "parent_span_id", "status", "keys", "issues",
)  # fmt: skip
#: Columns that name a call or a request. A marker would make many calls one, so a secret found here leaves nothing.
IDENTIFIERS: Final = ("response_id", "call_id", "request_span")
