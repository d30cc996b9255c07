"""Tokentide's callback in real LiteLLM, alone and beside each built-in callback: every attempt is one whole row."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.gateway import Proxy, proxy
from tests.e2e.house import House, Row, outside, serving
from tests.e2e.provider import provider

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
CALLBACK = Path(__file__).parents[2] / "deploy" / "litellm" / "tokentide_callback.py"
APP = Path(__file__).with_name("litellm_callback_app.py")
#: The built-in callback beside ours, and the variables that choose what it says.
BESIDE: Final = {
    "alone": ("", {}),
    "v1": ("otel", {}),
    "opt-in": ("otel", {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}),
    "v2": ("otel", {"LITELLM_OTEL_V2": "true"}),
}
CALLS = """
SELECT call_key, request_key, attempt, is_final, retry_of, fallback_from, model, requested_model, status, error_code,
       streaming, ttft_ms, input_tokens, output_tokens, cost_usd, cost_source, saved_usd, cache_hit, tags, session_id,
       end_user, api_base, deployment_id, operation, provider, gateway, observations, sources, issues
FROM genai_calls WHERE application = '{application}' ORDER BY started_at
"""
PICODOLLAR = Decimal("1e-12")


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The provider behind everything here."""
    with provider() as url:
        yield url


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One serve for all: services tell the cases apart."""
    with serving(tmp_path_factory.mktemp("callback") / "data") as running:
        yield running


def application(
    house: House, name: str, mode: str, *arguments: str, upstream: str, over: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """Run the application; what it says it did. ``over``: how it reaches the house, OTLP/HTTP otherwise."""
    beside, variables = BESIDE[mode]
    environment = outside(
        **(over or {"OTEL_EXPORTER": "otlp_http", "OTEL_ENDPOINT": house.url}),
        OTEL_SERVICE_NAME=name,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        PYTHONPATH=str(CALLBACK.parent),
        **variables,
    )
    command = [sys.executable, str(APP), upstream, beside, *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def rows_of(house: House, name: str, want: int) -> list[Row]:
    """The rows of a service, once all its records are there and joined."""
    sent = f"SELECT 1 FROM otel_logs WHERE ServiceName = '{name}' AND LogAttributes['litellm.call_type'] != ''"
    house.wait_for(sent, lambda rows: len(rows) >= want)
    return house.wait_for(CALLS.format(application=name), lambda rows: len(rows) == want)


def unlike(told: dict[str, Any], row: Row) -> list[str]:
    """In what a row differs from what the application says."""
    wanted = {
        "model": told["model"],
        "status": told["status"],
        "error_code": told.get("code", ""),
        "streaming": told.get("streaming", False),
        "input_tokens": told.get("input_tokens"),
        "output_tokens": told.get("output_tokens"),
        "cost_usd": Decimal(told["cost"]).quantize(PICODOLLAR),
    }
    wanted |= {
        column: told[name]
        for name, column in (("api_base", "api_base"), ("deployment", "deployment_id"), ("tags", "tags"))
        if name in told
    }
    said = {**row, "streaming": bool(row["streaming"]), "cost_usd": Decimal(row["cost_usd"] or 0)}
    return [f"{name}: {said[name]!r}, want {value!r}" for name, value in wanted.items() if said[name] != value]


def assert_same(told: list[dict[str, Any]], rows: list[Row]) -> None:
    """Every attempt is a row, and no row is left."""
    left = list(rows)
    for each in told:
        match = next((row for row in left if not unlike(each, row)), None)
        assert match is not None, (each, [unlike(each, row) for row in left])
        left.remove(match)
    assert left == []


@dataclass(frozen=True)
class Used:
    """What one application says it did and the rows that came of it: by itself, and through a router."""

    mode: str
    plain: tuple[list[dict[str, Any]], list[Row]]
    routed: tuple[list[dict[str, Any]], list[Row]]


@pytest.fixture(scope="module", params=BESIDE)
def used(request: pytest.FixtureRequest, house: House, upstream: str) -> Used:
    """The application in one mode, both parts in one process: importing LiteLLM takes longer than all it does."""
    name = f"sdk-{request.param}"
    told = application(house, name, request.param, "both", upstream=upstream)
    rows = rows_of(house, name, len(told))
    plain = [each for each in told if "deployment" not in each], [row for row in rows if not row["deployment_id"]]
    routed = [each for each in told if "deployment" in each], [row for row in rows if row["deployment_id"]]
    return Used(request.param, plain, routed)


def test_every_call_of_an_application_is_one_row(used: Used) -> None:
    """Sync, async, streamed, embedding, failures: one row each, with LiteLLM's cost, tags, session and address."""
    told, rows = used.plain
    assert_same(told, rows)
    assert all("litellm.callback" in row["sources"] for row in rows)
    assert {row["cost_source"] for row in rows if row["status"] == "ok"} == {"client"}
    tagged = [row for row in rows if row["tags"]]
    assert [(row["tags"], row["session_id"]) for row in tagged] == [(["folk", "night"], "s-7")]
    assert [row["end_user"] for row in rows if row["end_user"]] == ["customer-7"]
    assert all(row["ttft_ms"] > 0 for row in rows if row["streaming"])
    assert {row["operation"] for row in rows} == {"chat", "embeddings"}
    if used.mode != "alone":
        assert max(row["observations"] for row in rows) > 1, "nothing of the built-in callback joined"


def test_attempts_of_a_router_are_linked(used: Used) -> None:
    """Two requests of one session, each failed, retried and fallen back: two chains of three, and a request of one."""
    told, rows = used.routed
    assert_same(told, rows)
    assert_chains(rows, [3, 3, 1])
    assert {(tuple(row["tags"]), row["session_id"]) for row in rows} == {(("folk", "night"), "s-7")}


def assert_chains(rows: list[Row], lengths: list[int]) -> None:
    """Requests in order, each a chain of attempts of which the last is final, from primary to backup."""
    chains: dict[str, list[Row]] = {}
    for row in rows:
        chains.setdefault(row["request_key"], []).append(row)
    assert "" not in chains
    assert [len(chain) for chain in chains.values()] == lengths
    for chain in chains.values():
        assert [row["attempt"] for row in chain] == list(range(1, len(chain) + 1))
        assert [bool(row["is_final"]) for row in chain] == [False] * (len(chain) - 1) + [True]
        assert [row["retry_of"] for row in chain] == ["", *(row["call_key"] for row in chain[:-1])]
        fallen = [row["fallback_from"] for row in chain]
        assert fallen == ["", "", "primary"][: len(chain)]


def configuration(upstream: str, beside: str) -> dict[str, Any]:
    """A proxy with a deployment that fails, one that does not, a fallback between them, and a cache."""

    def deployment(name: str, model: str, base: str) -> dict[str, Any]:
        sent = {"model": f"openai/{model}", "api_base": base, "api_key": "sk-upstream", "max_retries": 0}
        return {"model_name": name, "litellm_params": sent, "model_info": {"id": f"deployment-{name}"}}

    return {
        "model_list": [
            deployment("primary", "gpt-4o-mini", upstream + "/fail/500"),
            deployment("backup", "gpt-4o", upstream),
            deployment("broken", "gpt-4o", upstream + "/fail/429"),
            deployment("vectors", "text-embedding-3-small", upstream),
        ],
        "litellm_settings": {
            "callbacks": [*([beside] if beside else []), "tokentide_callback.handler"],
            "cache": True,
            "cache_params": {"type": "local", "mode": "default_off"},
        },
        "router_settings": {
            "num_retries": 1,
            "retry_after": 0,
            "disable_cooldowns": True,
            "fallbacks": [{"primary": ["backup"]}],
        },
    }


def use(gateway: Proxy) -> None:
    """Fallback, stream, failure, embedding, a miss and a hit of the cache, and what the gateway refuses."""
    tagged = {"metadata": {"tags": ["folk"], "session_id": "s-8", "feature": "checkout"}, "user": "customer-8"}
    gateway.ask(model="primary", **tagged)
    gateway.ask(model="backup", stream=True, stream_options={"include_usage": True})
    asked = {"model": "broken", "messages": [{"role": "user", "content": "2 + 2?"}], "num_retries": 0}
    assert gateway.post("/v1/chat/completions", asked)[0] == 429
    assert gateway.post("/v1/embeddings", {"model": "vectors", "input": "x"})[0] == 200
    for _ in range(2):
        gateway.ask(model="backup", cache={"use-cache": True}, seed=7)
    assert gateway.post("/v1/chat/completions", {**asked, "model": "nobody"})[0] >= 400


TOLD: Final = [
    {"model": "gpt-4o-mini", "status": "error", "code": "500", "cost": "0", "deployment": "deployment-primary"},
    {"model": "gpt-4o-mini", "status": "error", "code": "500", "cost": "0", "deployment": "deployment-primary"},
    {"model": "gpt-4o", "status": "ok", "cost": "0.0001825", "input_tokens": 25, "output_tokens": 12, "tags": ["folk"]},
    {"model": "gpt-4o", "status": "ok", "cost": "0.0001825", "input_tokens": 25, "output_tokens": 12}
    | {"streaming": True, "deployment": "deployment-backup"},
    {"model": "gpt-4o", "status": "error", "code": "429", "cost": "0", "deployment": "deployment-broken"},
    {"model": "text-embedding-3-small", "status": "ok", "cost": "0.00000016", "input_tokens": 8, "output_tokens": 0},
    {"model": "gpt-4o", "status": "ok", "cost": "0.0001825", "input_tokens": 25, "output_tokens": 12},
    {"model": "gpt-4o", "status": "ok", "cost": "0", "input_tokens": 25, "output_tokens": 12},
]


@pytest.mark.parametrize("mode", BESIDE)
def test_every_attempt_behind_a_proxy_is_one_row(house: House, upstream: str, tmp_path: Path, mode: str) -> None:
    """Retry, fallback, stream, failure, embedding, cache hit: one row each and linked; what was refused is no call."""
    beside, variables = BESIDE[mode]
    directory = tmp_path / f"proxy-{mode}"
    directory.mkdir()
    shutil.copy(CALLBACK, directory)
    config = configuration(upstream, beside)
    with proxy(directory, upstream, house.url, variables, config=config) as gateway:
        use(gateway)
        rows = rows_of(house, directory.name, len(TOLD))
        assert_same(TOLD, rows)
        assert_chains(rows, [3, 1, 1, 1, 1, 1])
        assert all(row["gateway"] == "litellm" and "litellm.callback" in row["sources"] for row in rows)
        assert all(row["api_base"].startswith(upstream) for row in rows if not row["cache_hit"])
        sessions = {(row["session_id"], row["end_user"], *row["tags"]) for row in rows[:3]}
        assert sessions == {("s-8", "customer-8", "folk")}
        hits = [row for row in rows if row["cache_hit"]]
        assert [Decimal(row["saved_usd"]) for row in hits] == [Decimal("0.0001825")]
        if mode != "alone":
            assert max(row["observations"] for row in rows) > 1, "nothing of the built-in callback joined"


def over_grpc(house: House) -> dict[str, str]:
    """The standard variables for OTLP/gRPC."""
    return {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{house.addresses['grpc']}",
    }


def test_over_grpc(house: House, upstream: str) -> None:
    """Said by the standard variables, the records go over OTLP/gRPC: one row a call, nothing lost, the status too."""
    told = application(house, "sdk-grpc", "alone", upstream=upstream, over=over_grpc(house))
    rows = rows_of(house, "sdk-grpc", len(told))
    assert_same(told, rows)
    status = house.wait_for(
        "SELECT LogAttributes['litellm.callback.exported'] AS exported FROM otel_logs"
        " WHERE ServiceName = 'sdk-grpc' AND LogAttributes['litellm.callback.exported'] != ''"
    )
    assert int(status[-1]["exported"]) == len(told)


def guarded(upstream: str) -> dict[str, Any]:
    """A proxy with two of LiteLLM's own guardrails: addresses are masked, a word is not let through."""

    def guard(name: str, mode: str, **what: Any) -> dict[str, Any]:
        params = {"guardrail": "litellm_content_filter", "mode": mode, "default_on": True, **what}
        return {"guardrail_name": name, "litellm_params": params}

    mail = [{"pattern_type": "prebuilt", "pattern_name": "email", "action": "MASK"}]
    return configuration(upstream, "") | {
        "guardrails": [
            guard("no-mail", "pre_call", patterns=mail),
            guard("no-tuna", "pre_call", blocked_words=[{"keyword": "tuna", "action": "BLOCK"}]),
        ]
    }


def test_guardrails_of_a_proxy_arrive_over_grpc(house: House, upstream: str, tmp_path: Path) -> None:
    """LiteLLM's own guardrails, really run: their names are in the call's row, what each did is in the record, and
    neither what they found nor what they stopped is anywhere; a request they stopped is a refusal, and no call.
    """
    directory = tmp_path / "proxy-guarded"
    directory.mkdir()
    shutil.copy(CALLBACK, directory)
    with proxy(directory, upstream, house.url, over_grpc(house), config=guarded(upstream)) as gateway:
        gateway.ask(model="backup", messages=[{"role": "user", "content": "Write to ana.secret@example.com!"}])
        tuna = {
            "model": "backup",
            "messages": [{"role": "user", "content": "Tell me about tuna, ben.secret@example.com"}],
        }
        assert gateway.post("/v1/chat/completions", tuna)[0] in (400, 403)
        gateway.ask(model="backup")
        rows = "SELECT guardrails, status, cost_usd FROM genai_calls WHERE application = 'proxy-guarded'"
        found = house.wait_for(rows + " AND status = 'ok' ORDER BY started_at", lambda rows: len(rows) == 2)
        assert [sorted(row["guardrails"]) for row in found] == [["no-mail", "no-tuna"]] * 2
        assert not house.ask(rows + " AND status != 'ok'")
        refused = house.wait_for("SELECT reason, error_code FROM genai_refusals WHERE application = 'proxy-guarded'")
    assert refused == [{"reason": "guardrail", "error_code": "400"}]
    said = house.ask(
        "SELECT LogAttributes['litellm.guardrail_statuses'] AS statuses FROM otel_logs"
        " WHERE ServiceName = 'proxy-guarded' AND EventName = 'litellm.call' ORDER BY Timestamp"
    )
    statuses = [sorted(json.loads(row["statuses"])) for row in said]
    assert statuses == [["success", "success"], ["guardrail_intervened", "success"], ["success", "success"]]
    found_or_stopped = "arrayExists(v -> v LIKE '%secret@%' OR v LIKE '%tuna,%', mapValues(LogAttributes))"
    assert not house.ask(f"SELECT 1 FROM otel_logs WHERE ServiceName = 'proxy-guarded' AND {found_or_stopped}")
