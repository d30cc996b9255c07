"""Tokentide's callback for LiteLLM by itself: whatever comes and whoever does not answer, calls go on."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

#: LiteLLM's own affair.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FILE = Path(__file__).parents[3] / "deploy" / "litellm" / "tokentide_callback.py"
SECRET = "tell nobody of the plum tree"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def callback() -> ModuleType:
    """The module, loaded as LiteLLM's proxy loads it: from its file, without being listed among the modules."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    pytest.importorskip("litellm")
    spec = importlib.util.spec_from_file_location("tokentide_callback", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Kept:
    """A receiver in this process: keeps what the SDK would send."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def export(self, batch: Sequence[Any]) -> Any:
        """Take all of it."""
        from opentelemetry.sdk._logs.export import LogRecordExportResult

        self.records += [each.log_record for each in batch]
        return LogRecordExportResult.SUCCESS

    def calls(self, want: int) -> list[dict[str, Any]]:
        """The attributes of that many calls."""
        until = time.monotonic() + PATIENCE
        while len(found := [r for r in self.records if r.event_name == "litellm.call"]) < want:
            assert time.monotonic() < until, found
            time.sleep(0.02)
        assert len(found) == want
        return [dict(record.attributes) for record in found]


@contextmanager
def listening(callback: ModuleType, sender: Any) -> Iterator[Any]:
    """LiteLLM with our callback and no other."""
    import litellm

    handler = callback.TokentideCallback(sender)
    litellm.callbacks = [handler]
    try:
        yield handler
    finally:
        litellm.logging_callback_manager._reset_all_callbacks()
        sender.stop()


def ask(**options: Any) -> None:
    """One call that stays on this machine."""
    import litellm

    litellm.suppress_debug_info = True
    messages = [{"role": "user", "content": SECRET}]
    litellm.completion("gpt-4o-mini", messages, mock_response="It bears fruit.", **options)


def a_payload(number: int, **said: Any) -> dict[str, Any]:
    """What LiteLLM hands over of one call."""
    start = time.time()
    payload = {"litellm_call_id": f"call-{number}", "startTime": start, "endTime": start + 1, "status": "success"}
    return {"model": "gpt-4o", "litellm_params": {}, "standard_logging_object": {**payload, **said}}


@contextmanager
def nobody(kind: str) -> Iterator[str]:
    """An address where nothing listens, or something that accepts and never answers."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if kind == "black hole":
            listener.listen(64)
        else:
            listener.close()
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("kind", ["refused", "black hole"])
def test_a_dead_receiver_slows_nothing(
    callback: ModuleType, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls finish, the queue stays bounded, what is dropped is counted and said once, and the process may end."""
    with nobody(kind) as address:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        sender = callback.Sender(queue_size=100, delay=0.01)
        with listening(callback, sender) as handler:
            ask()
            durations = []
            for number in range(2_000):
                begun = time.perf_counter()
                handler.log_success_event(a_payload(number), None, None, None)
                durations.append(time.perf_counter() - begun)
            assert sorted(durations)[1_000] < 0.01
            assert len(sender._queue) <= 100
            assert sender.seen == 2_001 or sender.seen == 2_000  # LiteLLM logs its own call in another thread
            assert sender.exported == 0
            assert sender.dropped >= 2_000 - 2 * 100
        begun = time.monotonic()
        sender.stop()
        assert time.monotonic() - begun < 10
    said = [record for record in caplog.records if record.name == "tokentide_callback"]
    assert [record.levelno for record in said] == [logging.WARNING]


def test_messages_stay_where_they_are(callback: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """No message is sent by default; asked for, it is; and never where LiteLLM hides it."""
    import litellm

    for captures, hidden, sent in (("", False, False), ("true", False, True), ("true", True, False)):
        monkeypatch.setenv(callback.CAPTURE, captures)
        monkeypatch.setattr(litellm, "turn_off_message_logging", hidden)
        kept = Kept()
        with listening(callback, callback.Sender(kept, delay=0.01)):
            ask(metadata={"feature": "orchard"})
            (call,) = kept.calls(1)
        assert (SECRET in json.dumps(call)) is sent, (captures, hidden)
        assert call["litellm.metadata.feature"] == "orchard"


def test_a_failure_does_not_quote_the_prompt(callback: ModuleType) -> None:
    """What a provider says about a failure may quote the prompt: its class and status are sent, its words are not."""
    import litellm

    kept = Kept()
    with listening(callback, callback.Sender(kept, delay=0.01)):
        error = litellm.BadRequestError(f"bad prompt: {SECRET}", "gpt-4o", "openai")
        with pytest.raises(litellm.BadRequestError):
            litellm.completion("gpt-4o", [{"role": "user", "content": SECRET}], mock_response=error)
        (call,) = kept.calls(1)
    assert (call["error.type"], call["http.response.status_code"]) == ("BadRequestError", 400)
    assert SECRET not in json.dumps(call)


def test_a_shared_trace_id_links_nothing(callback: ModuleType) -> None:
    """Requests of one session share LiteLLM's trace id; only attempts of the same request share the request's id."""
    kept = Kept()
    sender = callback.Sender(kept, delay=0.01)
    handler = callback.TokentideCallback(sender)
    previous: list[dict[str, Any]] = []
    for request in range(3):
        for attempt in range(2):
            metadata = {"attempted_retries": attempt, "previous_models": previous if attempt else []}
            call = a_payload(request * 2 + attempt, status="failure" if attempt == 0 else "success", trace_id="s-1")
            call["litellm_params"] = {"litellm_trace_id": "s-1", "metadata": metadata}
            asyncio.run(handler.async_log_success_event(call, None, None, None))
    calls = kept.calls(6)
    sender.stop()
    assert [call["litellm.request_id"] for call in calls] == [f"call-{n}" for n in (0, 0, 2, 2, 4, 4)]
    assert [call["litellm.attempt"] for call in calls] == [1, 2] * 3
    assert [call["litellm.callback.sequence"] for call in calls] == [1, 2, 3, 4, 5, 6]


def test_an_event_told_twice_is_one(callback: ModuleType) -> None:
    """Where LiteLLM calls both the synchronous and the asynchronous method, one record is sent."""
    kept = Kept()
    sender = callback.Sender(kept, delay=0.01)
    handler, call = callback.TokentideCallback(sender), a_payload(1)
    handler.log_success_event(call, None, None, None)
    asyncio.run(handler.async_log_success_event(call, None, None, None))
    handler.log_success_event(a_payload(2), None, None, None)
    kept.calls(2)
    sender.stop()
    assert (sender.seen, sender.exported, sender.dropped) == (2, 2, 0)


def test_numbers_add_up_to_what_was_seen(callback: ModuleType) -> None:
    """When it ends the callback says how many calls it saw and sent: the receiver can tell what is missing."""
    kept = Kept()
    sender = callback.Sender(kept, delay=0.01)
    handler = callback.TokentideCallback(sender)
    for number in range(700):
        handler.log_success_event(a_payload(number), None, None, None)
    kept.calls(700)
    sender.stop()
    (status,) = [record for record in kept.records if record.event_name == "litellm.callback.status"]
    counted = {name: status.attributes[f"litellm.callback.{name}"] for name in ("seen", "exported", "dropped")}
    assert counted == {"seen": 700, "exported": 700, "dropped": 0}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "metadata",
        "hidden_params",
        "response",
        "messages",
        "error_information",
        "model_parameters",
        "cost_breakdown",
        "guardrail_information",
        "request_tags",
        "startTime",
        "endTime",
        "completionStartTime",
        "status",
        "cache_hit",
        "prompt_tokens",
        "response_cost",
        "api_base",
        "call_type",
        "trace_id",
        "id",
        "stream",
        "saved_cache_cost",
    ]
)


@settings(deadline=None)
@given(payload=st.dictionaries(FIELDS, ANYTHING, min_size=1), params=ANYTHING, metadata=ANYTHING)
def test_no_payload_breaks_a_call(callback: ModuleType, payload: Any, params: Any, metadata: Any) -> None:
    """Whatever LiteLLM may hand over one day, the callback does not raise."""
    handler = callback.TokentideCallback(callback.Sender(Kept(), delay=0.01))
    known = {"litellm_call_id": uuid.uuid4().hex, **payload}
    for litellm_params in (params, {"metadata": metadata}):
        handler.log_failure_event(
            {"standard_logging_object": known, "litellm_params": litellm_params}, None, None, None
        )
    handler.log_success_event(params, None, None, None)
    handler.sender.stop()


def test_without_a_receiver_to_speak_to_it_only_says_so(
    callback: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the exporter cannot be made, calls go on and one warning says why."""

    def broken() -> None:
        raise ImportError("no exporter here")

    monkeypatch.setattr(callback, "_exporter", broken)
    sender = callback.Sender()
    with listening(callback, sender):
        ask()
    assert not sender.is_ready
    assert [record.levelno for record in caplog.records if record.name == "tokentide_callback"] == [logging.WARNING]
