"""A LiteLLM proxy's management API over real HTTP, without its database: its own models answer, its own rules page.

The routes, their parameters and the SQL they stand for are those of litellm 1.106.2: `/spend/logs/v2` orders by
`startTime` alone (rows of one instant come in any order), bounds are inclusive, the count ends at 10,000.
"""

from __future__ import annotations

import json
import os
import random
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from litellm.proxy._types import (
    LiteLLM_BudgetTable,
    LiteLLM_OrganizationTableWithMembers,
    LiteLLM_UserTableWithKeyCount,
    SpendLogsMetadata,
    SpendLogsPayload,
    TeamListResponseObject,
    UserAPIKeyAuth,
)
from litellm.types.proxy.management_endpoints.internal_user_endpoints import UserListResponse

KEY = "sk-master-key-of-the-test-0123456789"
COUNTED = 10_000  # SPEND_LOGS_PAGINATION_COUNT_CAP
#: `_SPEND_LOG_LIST_COLUMNS`: messages, response and proxy_server_request are not listed.
LISTED = set(SpendLogsPayload.__annotations__) - {"messages", "response", "proxy_server_request", "billing_agent_id"}
TEAMS = {"t-search": "search", "t-support": "support", "t-ads": "ads"}
KEYS = {f"{number:02d}" * 32: (f"key-{number}", list(TEAMS)[number % 3]) for number in range(6)}
Row = dict[str, Any]


@dataclass
class Books:
    """What the proxy's database holds, and how often it was asked."""

    rows: list[Row]
    team_budget: float | None = 50.0
    busy_every: int = 0
    asked: list[str] = field(default_factory=list)
    _shuffle: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.rows = sorted(self.rows, key=lambda row: row["startTime"])
        self._starts = [datetime.fromisoformat(row["startTime"]) for row in self.rows]

    def answer(self, path: str, query: Mapping[str, str]) -> Any:
        """What a route answers, None where there is none."""
        self.asked.append(path)
        route = getattr(self, "_" + path.strip("/").replace("/", "_"), None)
        return route(query) if route else None

    def _spend_logs_v2(self, query: Mapping[str, str]) -> Any:
        start, end = (datetime.fromisoformat(query[name]).replace(tzinfo=UTC) for name in ("start_date", "end_date"))
        page, size = int(query.get("page", 1)), int(query.get("page_size", 50))
        assert size <= 1000 and query["sort_by"] == "startTime"
        first, last = bisect_left(self._starts, start), bisect_right(self._starts, end)
        found = self.rows[first:last]
        self._shuffle.shuffle(found)  # what the ORDER BY leaves open
        found.sort(key=lambda row: row["startTime"], reverse=query.get("sort_order", "desc") == "desc")
        total = min(len(found), COUNTED)
        return {
            "data": found[(page - 1) * size : page * size],
            "total": total,
            "page": page,
            "page_size": size,
            "total_pages": -(-total // size),
            "total_is_capped": len(found) > COUNTED,
        }

    def _key_list(self, query: Mapping[str, str]) -> Any:
        page, size = int(query.get("page", 1)), int(query.get("size", 10))
        assert size <= 100
        keys = [] if query.get("status") == "deleted" else [
            UserAPIKeyAuth(token=token, key_alias=alias, team_id=team, user_id="u-1").model_dump(mode="json")
            for token, (alias, team) in KEYS.items()
        ]  # fmt: skip
        pages = -(-len(keys) // size)
        return {
            "keys": keys[(page - 1) * size :][:size],
            "total_count": len(keys),
            "current_page": page,
            "total_pages": pages,
        }

    def _team_list(self, query: Mapping[str, str]) -> Any:
        return [
            TeamListResponseObject(
                team_id=team, team_alias=alias, organization_id="o-1", max_budget=self.team_budget, spend=1.25,
                team_memberships=[], keys=[],
            ).model_dump(mode="json")
            for team, alias in TEAMS.items()
        ]  # fmt: skip

    def _user_list(self, query: Mapping[str, str]) -> Any:
        users = [
            LiteLLM_UserTableWithKeyCount(user_id="u-1", user_email="ana@example.com", max_budget=None, key_count=6)
        ]
        return UserListResponse(users=users, total=1, page=1, page_size=25, total_pages=1).model_dump(mode="json")

    def _organization_list(self, query: Mapping[str, str]) -> Any:
        budget = LiteLLM_BudgetTable(max_budget=1000.0)
        made = LiteLLM_OrganizationTableWithMembers(
            organization_id="o-1", organization_alias="Acme", budget_id="b", created_by="x", updated_by="x",
            created_at=datetime.now(UTC), updated_at=datetime.now(UTC), litellm_budget_table=budget,
        )  # fmt: skip
        return [made.model_dump(mode="json")]

    def _model_info(self, query: Mapping[str, str]) -> Any:
        own = {"model": "openai/acme-own-7b", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
        known = {"model": "openai/gpt-4o-mini", "input_cost_per_token": 9.0}
        return {"data": [{"model_name": "own", "litellm_params": given, "model_info": {}} for given in (own, known)]}


@contextmanager
def serving(books: Books) -> Iterator[str]:
    """The address where ``books`` are served while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                self._send(401, {"error": {"message": f"Invalid proxy server token passed: {KEY[:6]}"}})
            elif books.busy_every and len(books.asked) % books.busy_every == books.busy_every - 1:
                books.asked.append("busy")
                self._send(429, {"error": "later"}, {"Retry-After": "0.01"})
            elif (answer := books.answer(parts.path, query)) is None:
                self._send(404, {"detail": "Not Found"})
            else:
                self._send(200, answer)

        def _send(self, status: int, answer: Any, headers: Mapping[str, str] | None = None) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def spend_log(number: int, start: datetime, **changes: Any) -> Row:
    """A row of LiteLLM_SpendLogs as the list route gives it: a plain call, unless ``number`` or ``changes`` say more.

    Of ten rows one failed at the provider, one is a hit of the gateway's cache, and one knows no names.
    """
    kind, token = number % 10, list(KEYS)[number % len(KEYS)]
    alias, team = KEYS[token]
    call_id = f"{number:08x}-0000-4000-8000-{number * 7919:012x}"
    answer = f"chatcmpl-{number:08d}Qx7Rk2Zt9Lm4"
    end = start + timedelta(milliseconds=800 + number % 700)
    failed, hit = kind == 3, kind == 5
    usage = {"prompt_tokens": 100 + number % 400, "completion_tokens": 20 + number % 90}
    error = {"error_class": "InternalServerError", "error_code": "500", "llm_provider": "openai"}
    metadata = SpendLogsMetadata(
        user_api_key=token,
        user_api_key_alias=None if kind == 7 else alias,
        user_api_key_team_id=team,
        user_api_key_team_alias=None if kind == 7 else TEAMS[team],
        user_api_key_user_id="u-1",
        user_agent="app/1.0",
        status="failure" if failed else "success",
        usage_object=None if failed else usage | {"total_tokens": sum(usage.values())},
        error_information=error | {"error_message": "secret words"} if failed else None,
    )
    row = {
        "request_id": call_id if failed else f"{answer}_cache_hit{start.timestamp()}" if hit else answer,
        "litellm_call_id": call_id,
        "call_type": "acompletion",
        "api_key": token,
        "spend": 0.0 if failed or hit else round(0.0001 + (number % 997) * 1.3e-05, 8),
        "total_tokens": 0 if failed else sum(usage.values()),
        **({"prompt_tokens": 0, "completion_tokens": 0} if failed else usage),
        "startTime": start.isoformat(timespec="milliseconds"),
        "endTime": end.isoformat(timespec="milliseconds"),
        "completionStartTime": (start + timedelta(milliseconds=300)).isoformat(timespec="milliseconds"),
        "model": "openai/gpt-4o-mini",
        "model_id": "deployment-1",
        "model_group": "fast",
        "custom_llm_provider": "openai",
        "api_base": "https://api.openai.com/v1/",
        "user": "u-1",
        "metadata": dict(metadata),
        "cache_hit": str(hit),
        "cache_key": "Cache OFF",
        "request_tags": '["User-Agent: app"]',
        "team_id": team,
        "organization_id": "o-1",
        "end_user": f"customer-{number % 5}",
        "requester_ip_address": "10.0.0.1",
        "session_id": call_id,
        "status": "failure" if failed else "success",
        "mcp_namespaced_tool_name": None,
        "agent_id": None,
        "request_duration_ms": 800 + number % 700,
    } | changes
    assert set(row) == LISTED, set(row) ^ LISTED
    return row


def span_of(row: Row) -> dict[str, Any]:
    """The attributes of the proxy's own span (v1) of the call this row is about."""
    failed, hit = row["status"] == "failure", row["cache_hit"] == "True"
    metadata = row["metadata"]
    said = {
        "llm.request.type": "acompletion",
        "hidden_params": '{"model_id": "deployment-1", "cache_key": null, "additional_headers": {}}',
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "litellm.provider.model": "openai/gpt-4o-mini",
        "litellm.model_group": "fast",
        "gen_ai.response.id": row["request_id"].partition("_cache_hit")[0],
        "litellm.call_id": row["litellm_call_id"],
        "litellm.cache_hit": hit,
        "metadata.user_api_key_hash": row["api_key"],
        "metadata.user_api_key_team_id": row["team_id"],
        "metadata.user_api_key_request_route": "/v1/chat/completions",
        "metadata.user_api_key_user_id": "u-1",
    }
    if failed:
        return said | {"error.type": "InternalServerError", "error.llm_provider": "openai", "error.code": "500"}
    counts = {"input": row["prompt_tokens"], "output": row["completion_tokens"], "total": row["total_tokens"]}
    return (
        said
        | {f"gen_ai.usage.{name}_tokens": count for name, count in counts.items()}
        | {"gen_ai.cost.total_cost": row["spend"]}
        | ({"metadata.user_api_key_alias": alias} if (alias := metadata["user_api_key_alias"]) else {})
    )


def spent(rows: Sequence[Row]) -> Decimal:
    """The exact sum of what the books say was spent."""
    return sum((Decimal(str(row["spend"])) for row in rows), Decimal(0))
