"""The health door and its questions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from otel_exporter import runfile
from otel_exporter.asking import asking, bounded, live, read
from otel_exporter.cli.sentences import explain
from otel_exporter.config.tree import HealthSettings, Settings, StoreSettings
from otel_exporter.failures import Refused
from otel_exporter.health import Ask, Door
from otel_exporter.runfile import Running

TOKEN = "local-token"
Visit = Callable[[str], Coroutine[Any, Any, Any]]


def nobody(_: str, __: Mapping[str, str], ___: str) -> bytes:
    """An `Ask` that is not to be asked."""
    raise AssertionError("not to be asked")


def visit(visitor: Visit, ready: tuple[bool, list[str]] = (True, []), ask: Ask = nobody) -> Any:
    """Open a door on a free port, let ``visitor`` see its address, close it."""

    async def run() -> Any:
        door = Door(HealthSettings(port=0), lambda: ready, ask, TOKEN, lambda error: explain(error)[0])
        address = (await door.open())["health"]
        try:
            return await visitor(address)
        finally:
            await door.close()

    return asyncio.run(run())


async def get(address: str, path: str) -> tuple[int, str, str]:
    """Status, content type and body of a GET."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def post(address: str, body: Any, token: str | None = TOKEN) -> tuple[int, str]:
    """Status and body of a question."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(
            f"http://{address}/api/query", data=body if isinstance(body, str) else json.dumps(body)
        ) as response,
    ):
        return response.status, await response.text()


def test_metrics_are_prometheus_text() -> None:
    """`/metrics` is Prometheus text in which every declared name with a value appears."""
    status, kind, body = visit(lambda address: get(address, "/metrics"))
    assert status == 200 and kind.startswith("text/plain; version=0.0.4")
    assert "# TYPE tokentide_commit_seconds histogram" in body


@pytest.mark.parametrize(
    ("ready", "status", "text"),
    [
        ((True, []), 200, "ready\n"),
        ((False, ["ClickHouse does not answer", "spool full"]), 503, "ClickHouse does not answer\nspool full\n"),
        ((False, []), 503, "not ready\n"),
    ],
)
def test_ready_says_what_stands_in_the_way(ready: tuple[bool, list[str]], status: int, text: str) -> None:
    """`/readyz` is 200 only while data move, else 503 with every reason; `/healthz` stays 200."""

    async def both(address: str) -> Any:
        return await get(address, "/readyz"), await get(address, "/healthz")

    readiness, health = visit(both, ready)
    assert (readiness[0], readiness[2]) == (status, text)
    assert health[0] == 200


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x"])
def test_questions_need_the_token(token: str | None) -> None:
    """Without the run file's token nothing is asked."""
    status, body = visit(lambda address: post(address, {"sql": "SELECT 1"}, token))
    assert status == 401 and "token" in json.loads(body)["error"]


@pytest.mark.parametrize(
    "body", ["", "nonsense", "[]", '{"sql": 1}', '{"sql": "x", "parameters": {"a": 1}}', '{"x": 1}']
)
def test_malformed_questions(body: str) -> None:
    """A body that is no question is answered with 400 and what it should be."""
    status, text = visit(lambda address: post(address, body))
    assert status == 400 and "sql" in json.loads(text)["error"]


def test_failures_are_sentences() -> None:
    """A refused question comes back as its sentence; an unforeseen failure as its type, without its text."""
    from otel_exporter.failures import Reason

    def refuse(sql: str, _: Mapping[str, str], __: str) -> bytes:
        if sql == "refuse":
            raise Refused(Reason.MALFORMED, "only reading is allowed")
        raise KeyError("payload")

    assert visit(lambda address: post(address, {"sql": "refuse"}), ask=refuse) == (
        400,
        '{"error": "only reading is allowed"}',
    )
    status, text = visit(lambda address: post(address, {"sql": "bug"}), ask=refuse)
    assert status == 400 and "KeyError" in text and "payload" not in text


def test_commands_find_the_live_serve(store: Any, data_dir: Path) -> None:
    """While a serve owns the directory, a command asks it instead of failing on the lock."""

    async def question(address: str) -> Any:
        def ask() -> Any:
            settings = Settings(store=StoreSettings(data_dir=data_dir))
            with runfile.claim(data_dir) as claim, pytest.MonkeyPatch.context() as patch:
                patch.setattr(claim, "token", TOKEN)
                claim.publish({"health": address})
                with asking(settings) as found:
                    return found("SELECT count() FROM genai_calls", {})

        return await asyncio.to_thread(ask)

    assert read(visit(question, ask=bounded(store))).rows == [[6]]


def test_a_question_through_the_door(store: Any) -> None:
    """A command's question reaches the store behind the door, with parameters; a bad one is Refused with the reason."""

    async def both(address: str) -> Any:
        ask = live(Running(1, {"health": address}, TOKEN))
        sql = "SELECT team, count() AS calls FROM genai_calls WHERE model = {m:String} GROUP BY team"
        answer = await asyncio.to_thread(ask, sql, {"m": "claude"})
        with pytest.raises(Refused, match="only reading"):
            await asyncio.to_thread(ask, "DROP TABLE otel.genai_ledger", {})
        return answer

    assert read(visit(both, ask=bounded(store))).rows == [["support", 1]]
