"""Everything LiteLLM knows about a call, as one OpenTelemetry log record per attempt.

LiteLLM's own `otel` callback leaves out the later failed attempts of a request, tags, cache savings, the deployment
that failed, and sends nothing at all where its span gets lost. This callback sends what LiteLLM logs itself
(`StandardLoggingPayload`), beside the `otel` callback or alone:

    litellm_settings:                    # proxy: config.yaml, with this file beside it
      callbacks: ["tokentide_callback.handler"]

    import litellm, tokentide_callback   # SDK
    litellm.callbacks = [tokentide_callback.handler]

Where to send is said by the variables that the `otel` callback reads (`OTEL_EXPORTER_OTLP_*`, else `OTEL_EXPORTER`,
`OTEL_ENDPOINT`, `OTEL_HEADERS`; `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`). It needs LiteLLM, opentelemetry-sdk
and opentelemetry-exporter-otlp, Python 3.9 or newer.

It never breaks or slows a call: a call costs a dictionary put into a bounded queue; a thread of its own sends. Records
are numbered, so that whoever receives them can tell that some are missing. Messages are not sent, unless
``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` is ``true``, ``EVENT_ONLY`` or ``SPAN_AND_EVENT`` and LiteLLM
does not hide them (`turn_off_message_logging`).
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from litellm.integrations.custom_logger import CustomLogger

__version__ = "1.0.0"

SCOPE = "tokentide.litellm"
CALL, STATUS = "litellm.call", "litellm.callback.status"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

_LOG = logging.getLogger("tokentide_callback")
_QUEUE_SIZE, _BATCH_SIZE = 2048, 512
_DELAY_S = 0.5  # the proxy does not flush when it is stopped: what waits then is lost
_STATUS_EVERY_S = 60.0
_RETRY_EVERY_S, _GIVE_UP_AFTER_S = 5.0, 60.0
_EXIT_S = 2.0  # how long the end of the process may wait for the receiver
_REMEMBERED = 4096  # requests that failed once, events that were sent
_MOST_METADATA, _MOST_TEXT, _MOST_CONTENT = 24, 256, 65_536
_CACHE_HIT_ID = re.compile(r"_cache_hit[\d.]+$")

Attributes = dict[str, Any]

#: Of the payload itself.
_PAYLOAD = {
    "litellm_call_id": "litellm.call_id",
    "trace_id": "litellm.trace_id",
    "call_type": "litellm.call_type",
    "custom_llm_provider": "gen_ai.provider.name",
    "model_group": "litellm.model_group",
    "model_id": "litellm.deployment.id",
    "cache_hit": "litellm.cache_hit",
    "end_user": "litellm.metadata.user_api_key_end_user_id",
}
#: Of `metadata` in it: who asked, as the proxy knows.
_IDENTITY = {
    "user_api_key_hash": "litellm.api_key.hash",
    "user_api_key_team_id": "litellm.team.id",
    "user_api_key_team_alias": "litellm.team.alias",
    **{
        name: "litellm.metadata." + name
        for name in (
            "user_api_key_alias",
            "user_api_key_org_id",
            "user_api_key_org_alias",
            "user_api_key_project_id",
            "user_api_key_project_alias",
            "user_api_key_user_id",
            "user_api_key_user_email",
            "user_api_key_end_user_id",
            "user_api_key_request_route",
            "requester_ip_address",
            "user_agent",
        )
    },
}
#: Of the request's parameters; the others (tools, response formats) may be content.
_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    "reasoning_effort": "litellm.request.reasoning_effort",
    "service_tier": "litellm.request.service_tier",
}
#: Of the usage: attribute -> places, the first that is a number counts.
_USAGE = {
    "gen_ai.usage.cache_read.input_tokens": (
        ("cache_read_input_tokens",),
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
    ),
    "gen_ai.usage.cache_creation.input_tokens": (
        ("cache_creation_input_tokens",),
        ("prompt_tokens_details", "cache_creation_tokens"),
        ("prompt_tokens_details", "cache_write_tokens"),
    ),
    "litellm.usage.cache_creation_1h_tokens": (
        ("prompt_tokens_details", "cache_creation_token_details", "ephemeral_1h_input_tokens"),
        ("cache_creation", "ephemeral_1h_input_tokens"),
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    ),
    "litellm.usage.input_audio_tokens": (("prompt_tokens_details", "audio_tokens"),),
    "litellm.usage.output_audio_tokens": (("completion_tokens_details", "audio_tokens"),),
    "litellm.usage.image_tokens": (
        ("completion_tokens_details", "image_tokens"),
        ("prompt_tokens_details", "image_tokens"),
    ),
}
_OPERATIONS = {"completion": "chat", "text_completion": "text_completion", "embedding": "embeddings"}
#: What LiteLLM itself keeps beside the application's own metadata of a request.
_INTERNAL = re.compile(
    r"^(?:_.*|user_api_key.*|model_group.*|model_info|deployment.*|api_base|caching_groups|attempted_.*|max_retries"
    r"|max_fallbacks|original_model_group|previous_models|request_retry_count|fallback_.*|hidden_params|headers"
    r"|requester_.*|litellm_.*|endpoint|global_max_parallel_requests|llm_api_timing_windows|applied_.*|team_.*"
    r"|standard_logging.*|spend_logs_metadata|usage_object|user_agent|tags|trace_id|session_id|queue_time_seconds)$"
)
_PREVIOUS = ("model_group", "deployment_id", "model", "exception_type", "attempted_retries")


class Item(NamedTuple):
    """A record on its way.

    ``end`` is in nanoseconds since 1970, ``span`` a span context or None.
    """

    name: str
    end: int
    failed: bool
    span: Any
    attributes: Attributes


class TokentideCallback(CustomLogger):
    """LiteLLM calls these methods after every attempt; none of them raises or waits."""

    def __init__(self, sender: Sender | None = None) -> None:
        super().__init__()
        self.sender = sender if sender is not None else Sender()
        self._requests = Requests()
        self._captures = os.environ.get(CAPTURE, "").strip().lower() in ("true", "1", "event_only", "span_and_event")

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call of the synchronous API ended well."""
        self._tell(kwargs, start_time, end_time)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """An attempt of the synchronous API failed."""
        self._tell(kwargs, start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call of the asynchronous API, or of the proxy, ended well."""
        self._tell(kwargs, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """An attempt of the asynchronous API, or of the proxy, failed."""
        self._tell(kwargs, start_time, end_time)

    async def async_post_call_failure_deployment_hook(
        self, request_data: Any, exception: Any, call_type: Any, fallback_depth: Any = None
    ) -> None:
        """An attempt behind the proxy failed. Only the first failure of a request becomes an event; not so here."""
        try:
            details = request_data["litellm_logging_obj"].model_call_details
            if details.get("has_logged_async_failure"):
                self._tell(_unlogged(details, request_data, exception), None, None)
        except Exception as error:
            self.sender.warn_once("an attempt could not be described (%s)", type(error).__name__)

    def _tell(self, kwargs: Any, start_time: Any, end_time: Any) -> None:
        try:
            payload = kwargs.get("standard_logging_object")
            if payload and self.sender.is_ready and self._requests.is_new(payload):
                self.sender.put(self._item(payload, kwargs))
        except Exception as error:
            self.sender.warn_once("a call could not be described (%s); calls are not affected", type(error).__name__)

    def _item(self, payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Item:
        params = kwargs.get("litellm_params") or {}
        metadata = _metadata(params)
        failed = payload.get("status") == "failure"
        said = dict(_said(payload, kwargs, params, metadata, failed))
        said.update(self._requests.place(payload, params, metadata, failed))
        if self._captures:
            said.update(_content(payload))
        end = int((payload.get("endTime") or time.time()) * 1e9)
        span = _span_of(params, metadata)
        if span is not None and said.get("gen_ai.conversation.id") == format(span.trace_id, "032x"):
            del said["gen_ai.conversation.id"]  # beside `otel` the proxy calls every trace a session
        said["litellm.beside_otel"] = metadata.get("litellm_parent_otel_span") is not None
        return Item(CALL, end, failed, span, said)


def _unlogged(details: Mapping[str, Any], request: Mapping[str, Any], error: Any) -> Attributes:
    """What LiteLLM would hand over of a failed attempt, if it did: the request's first failure, with what differs.

    The attempt's own call and the router's metadata say where it went; LiteLLM keeps the rest for the whole request.
    """
    params = {**(details.get("litellm_params") or {})}
    params.update({name: request[name] for name in ("metadata", "litellm_metadata") if name in request})
    metadata = _metadata(params)
    started = details.get("api_call_start_time")
    now = time.time()
    payload = {
        **(details.get("standard_logging_object") or {}),
        "litellm_call_id": request.get("litellm_call_id") or details.get("litellm_call_id"),
        "status": "failure",
        "startTime": min(started.timestamp(), now) if started is not None else now,
        "endTime": now,
        "custom_llm_provider": details.get("custom_llm_provider"),
        "model_group": metadata.get("model_group"),
        "model_id": (metadata.get("model_info") or {}).get("id"),
        "api_base": request.get("api_base") or params.get("api_base"),
        "error_information": {
            "error_class": type(error).__name__,
            "error_code": str(getattr(error, "status_code", None) or ""),
            "llm_provider": getattr(error, "llm_provider", None) or "",
        },
    }
    return {**details, "litellm_params": params, "standard_logging_object": payload}


class Requests:
    """Which attempts are one request's, and which events were told already. Bounded; keeps nothing of LiteLLM's.

    On the proxy all attempts of a request have one call id; in the SDK each has its own, and the router's trace id.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._told: OrderedDict[tuple[Any, ...], None] = OrderedDict()

    def is_new(self, payload: Mapping[str, Any]) -> bool:
        """False for what was told before: streams may end in both APIs' handlers."""
        key = (payload.get("litellm_call_id") or payload.get("id"), payload.get("startTime"), payload.get("status"))
        with self._lock:
            if key in self._told:
                return False
            self._told[key] = None
            _trim(self._told)
        return True

    def place(
        self, payload: Mapping[str, Any], params: Mapping[str, Any], metadata: Mapping[str, Any], failed: bool
    ) -> Iterator[tuple[str, Any]]:
        """The request an attempt belongs to (its first attempt's call id), and its place there, from 1."""
        call, trace = payload.get("litellm_call_id") or "", _routers_trace(params, metadata)
        with self._lock:
            before = self._failed.get(call) or (self._failed.get(trace) if _is_later(metadata) else None)
            request, failures = before or (call, 0)
            if failed:
                for key in filter(None, (call, trace)):
                    self._failed.pop(key, None)  # to the end: what failed long ago goes first
                    self._failed[key] = (request, failures + 1)
                _trim(self._failed)
        yield "litellm.request_id", request
        yield "litellm.attempt", failures + 1


class Sender:
    """A bounded queue and a thread that exports what is in it.

    Attributes:
        seen, exported, dropped: records since the start of this process.
    """

    def __init__(self, exporter: Any = None, *, queue_size: int = 0, delay: float = 0.0) -> None:
        self.seen = self.exported = self.dropped = 0
        self._queue_size = queue_size or _number("OTEL_BLRP_MAX_QUEUE_SIZE", _QUEUE_SIZE)
        self._batch_size = min(_number("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", _BATCH_SIZE), self._queue_size)
        self._delay = delay or _number("OTEL_BLRP_SCHEDULE_DELAY", _DELAY_S * 1000) / 1000
        self._warned = False
        self._lock = threading.Lock()
        self._begin()
        try:
            self._pipe = Pipe(exporter)
            self.is_ready = True
        except Exception as error:
            self.is_ready = False
            _LOG.warning("tokentide: nothing is sent: %s: %s", type(error).__name__, error)
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """A process of its own: its own numbers and its own thread."""
        self.seen = self.exported = self.dropped = 0
        self.instance = uuid.uuid4().hex
        self._queue: deque[Item] = deque()
        self._lock = threading.Lock()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._status_due = time.monotonic() + _STATUS_EVERY_S
        self._told = 0

    def put(self, item: Item) -> None:
        """Send it soon. Never waits; when the queue is full the record is dropped and counted."""
        with self._lock:
            self.seen += 1
            item.attributes["litellm.callback.instance"] = self.instance
            item.attributes["litellm.callback.sequence"] = self.seen
            full = len(self._queue) >= self._queue_size
            if full:
                self.dropped += 1
            else:
                self._queue.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tokentide", daemon=True)
                self._thread.start()
        if full:
            self.warn_once("the receiver does not keep up: records of calls are dropped; calls are not affected")
        elif not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Send what is there, but do not keep the process from ending."""
        atexit.unregister(self.stop)
        self._stopping.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(_EXIT_S)

    def warn_once(self, sentence: str, *arguments: Any) -> None:
        """Say it to the log, the first time anything has to be said."""
        if not self._warned:
            self._warned = True
            _LOG.warning("tokentide: " + sentence + " (said once)", *arguments)

    def _run(self) -> None:
        with self._pipe.quiet():
            while not self._stopping.is_set():
                self._wake.wait(max(0.0, self._status_due - time.monotonic()) if self._told < self.seen else None)
                self._stopping.wait(self._delay)
                self._wake.clear()
                self._drain()
                if time.monotonic() >= self._status_due:
                    self._tell_status()
            self._drain()
            self._tell_status()

    def _drain(self) -> None:
        while self._queue:
            with self._lock:
                batch = [self._queue.popleft() for _ in range(min(self._batch_size, len(self._queue)))]
            sent = self._sent(batch)
            with self._lock:
                self.exported += len(batch) if sent else 0
                self.dropped += 0 if sent else len(batch)

    def _sent(self, batch: Sequence[Item]) -> bool:
        """Whether the receiver took it, at last. The exporter tries again by itself for some seconds."""
        until = time.monotonic() + _GIVE_UP_AFTER_S
        while not self._pipe.send(batch):
            if self._stopping.is_set() or time.monotonic() > until:
                self.warn_once("the receiver does not answer: records of calls are dropped; calls are not affected")
                return False
            self._stopping.wait(_RETRY_EVERY_S)
        return True

    def _tell_status(self) -> None:
        """How many calls there were, so that a receiver can tell that some are missing even at the end."""
        self._status_due = time.monotonic() + _STATUS_EVERY_S
        if self._told == self.seen:
            return
        with self._lock:
            self._told = self.seen
            counts = {"seen": self.exported + self.dropped, "exported": self.exported, "dropped": self.dropped}
        said: Attributes = {f"litellm.callback.{name}": count for name, count in counts.items()}
        said["litellm.callback.instance"] = self.instance
        self._pipe.send([Item(STATUS, time.time_ns(), False, None, said)])


class Pipe:
    """The ordinary OpenTelemetry SDK: a logger whose records are collected here and exported as one batch."""

    def __init__(self, exporter: Any = None) -> None:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

        self._exporter = exporter if exporter is not None else _exporter()
        self._collected: list[Any] = []
        self._resource = _resource()
        provider = LoggerProvider(resource=self._resource, shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self))
        self._logger = provider.get_logger(SCOPE, __version__)

    def export(self, batch: Sequence[Any]) -> None:
        """The processor hands every record over as it is emitted."""
        self._collected.extend(batch)

    def shutdown(self) -> None:
        """Nothing of ours is open."""

    def send(self, items: Sequence[Item]) -> bool:
        """Whether the receiver took them."""
        self._collected.clear()
        for item in items:
            self._logger.emit(self._record(item))
        try:
            return getattr(self._exporter.export(tuple(self._collected)), "name", "") == "SUCCESS"
        except Exception:
            return False

    def quiet(self) -> Any:
        """While this lasts, instrumentations leave our own requests alone, in this thread."""
        from contextlib import contextmanager

        from opentelemetry import context

        @contextmanager
        def suppressed() -> Iterator[None]:
            token = context.attach(context.set_value("suppress_instrumentation", True))
            try:
                yield
            finally:
                context.detach(token)

        return suppressed()

    def _record(self, item: Item) -> Any:
        from opentelemetry import _logs as api
        from opentelemetry import context, trace

        severity = api.SeverityNumber.ERROR if item.failed else api.SeverityNumber.INFO
        fields: Attributes = {
            "timestamp": item.end,
            "observed_timestamp": time.time_ns(),
            "severity_number": severity,
            "severity_text": severity.name,
            "attributes": item.attributes,
        }
        span = item.span
        try:
            around = context.Context()
            if span is not None:
                around = trace.set_span_in_context(trace.NonRecordingSpan(span), around)
            return api.LogRecord(context=around, event_name=item.name, **fields)
        except TypeError:  # before 1.35
            from opentelemetry.sdk import _logs as sdk

            fields["attributes"] = {**item.attributes, "event.name": item.name}
            ids = (span.trace_id, span.span_id, span.trace_flags) if span is not None else (0, 0, trace.TraceFlags(0))
            named: Attributes = dict(zip(("trace_id", "span_id", "trace_flags"), ids))
            return sdk.LogRecord(resource=self._resource, **named, **fields)


def _exporter() -> Any:
    """The exporter that the environment asks for, in OpenTelemetry's words or LiteLLM's."""
    env = os.environ.get
    protocol = env("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL") or env("OTEL_EXPORTER_OTLP_PROTOCOL") or env("OTEL_EXPORTER")
    is_grpc = (protocol or "").strip().lower() in ("grpc", "otlp_grpc")
    given: Attributes = {}
    endpoint = env("OTEL_ENDPOINT")
    if endpoint and not (env("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT") or env("OTEL_EXPORTER_OTLP_ENDPOINT")):
        base = re.sub(r"/+(?:v1/(?:traces|metrics|logs))?$", "", endpoint)
        given["endpoint"] = endpoint if is_grpc else base + "/v1/logs"
    headers = env("OTEL_HEADERS")
    if headers and not (env("OTEL_EXPORTER_OTLP_LOGS_HEADERS") or env("OTEL_EXPORTER_OTLP_HEADERS")):
        pairs = (pair.split("=", 1) for pair in headers.split(",") if "=" in pair)
        given["headers"] = {name.strip().lower(): value.strip() for name, value in pairs}
    if is_grpc:
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as OverGRPC

        return OverGRPC(**given)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(**given)


def _resource() -> Any:
    """What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say; without a name, LiteLLM's own."""
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create()
    if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        return resource.merge(Resource({"service.name": "litellm"}))
    return resource


def _said(
    payload: Mapping[str, Any],
    kwargs: Mapping[str, Any],
    params: Mapping[str, Any],
    metadata: Mapping[str, Any],
    failed: bool,
) -> Iterator[tuple[str, Any]]:
    """What a payload says, without what it does not."""
    logged = payload.get("metadata") or {}
    hidden = payload.get("hidden_params") or {}
    yield from _renamed(payload, _PAYLOAD)
    yield from _renamed(logged, _IDENTITY)
    yield from _renamed(payload.get("model_parameters") or {}, _PARAMETERS)
    yield from _models(payload, kwargs)
    yield from _times(payload, kwargs, hidden)
    yield from _routing(payload, metadata, hidden)
    yield from _caller(payload, kwargs, params, metadata)
    if failed:
        yield from _error(payload)
    else:
        yield from _tokens(payload, logged.get("usage_object") or {})
        yield from _cost(payload, kwargs)
    yield "litellm.proxied", bool(params.get("proxy_server_request"))


def _renamed(source: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name, attribute in names.items():
        value = source.get(name)
        if value is not None and value != "" and isinstance(value, (str, int, float)):
            yield attribute, value


def _models(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What was asked, of which model, and what answered."""
    kind = str(payload.get("call_type") or "")
    bare = kind[1:] if kind.startswith("a") and kind[1:] in _OPERATIONS else kind
    yield "gen_ai.operation.name", _OPERATIONS.get(bare, kind)
    model = kwargs.get("model") or payload.get("model")
    if isinstance(model, str) and model:
        yield "gen_ai.request.model", model
    response = payload.get("response")
    if payload.get("status") == "failure" or not isinstance(response, dict):
        response = {}
    if isinstance(response.get("model"), str):
        yield "gen_ai.response.model", response["model"]
    if payload.get("status") != "failure" and payload.get("id"):
        yield "gen_ai.response.id", _CACHE_HIT_ID.sub("", str(payload["id"]))
    choices = response.get("choices")
    reasons = [choice.get("finish_reason") for choice in choices or () if isinstance(choice, dict)]
    if any(reasons):
        yield "gen_ai.response.finish_reasons", [str(reason) for reason in reasons if reason]
    if isinstance(response.get("service_tier"), str):
        yield "gen_ai.response.service_tier", response["service_tier"]


def _times(
    payload: Mapping[str, Any], kwargs: Mapping[str, Any], hidden: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    start, end = payload.get("startTime"), payload.get("endTime")
    streams = bool(payload.get("stream") or kwargs.get("stream"))
    yield "gen_ai.request.stream", streams
    if start and end:
        yield "litellm.duration_ms", (end - start) * 1000.0
    first = payload.get("completionStartTime")
    if streams and start and end and first and start < first < end:  # else it is only the end again
        yield "gen_ai.response.time_to_first_chunk", first - start
    if isinstance(hidden.get("litellm_overhead_time_ms"), (int, float)):
        yield "litellm.overhead_ms", float(hidden["litellm_overhead_time_ms"])


def _routing(
    payload: Mapping[str, Any], metadata: Mapping[str, Any], hidden: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Where it went, after which other attempts, and what guarded it."""
    base = payload.get("api_base") or hidden.get("api_base")
    if isinstance(base, str) and base:
        yield "litellm.api_base", re.sub(r"//[^/@]*@", "//", base.partition("?")[0])
    for name in ("attempted_retries", "attempted_fallbacks", "original_model_group"):
        if isinstance(metadata.get(name), (int, str)):
            yield "litellm." + name, metadata[name]
    previous = metadata.get("previous_models")
    if isinstance(previous, (list, tuple)) and previous:
        known = [each for each in previous if isinstance(each, dict)]
        short = [{name: each[name] for name in _PREVIOUS if each.get(name) is not None} for each in known]
        yield "litellm.previous_models", json.dumps(short, default=str)
    guards = [each for each in payload.get("guardrail_information") or () if isinstance(each, dict)]
    if guards:
        yield "litellm.guardrails", [str(each.get("guardrail_name")) for each in guards]
        yield "litellm.guardrail_statuses", [str(each.get("guardrail_status")) for each in guards]
    elif (payload.get("metadata") or {}).get("applied_guardrails"):
        yield "litellm.guardrails", [str(name) for name in payload["metadata"]["applied_guardrails"]]


def _caller(
    payload: Mapping[str, Any], kwargs: Mapping[str, Any], params: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Session, tags, the request's own `user`, and the application's own metadata: single values only."""
    requested = (payload.get("metadata") or {}).get("requester_metadata")
    own = requested if isinstance(requested, dict) else metadata
    session = payload.get("session_id") or params.get("litellm_session_id") or own.get("session_id")
    if session or metadata.get("session_id"):
        yield "gen_ai.conversation.id", str(session or metadata["session_id"])
    if payload.get("request_tags"):
        yield "litellm.request_tags", [str(tag) for tag in payload["request_tags"]]
    user = kwargs.get("user") or (kwargs.get("optional_params") or {}).get("user")
    if user and not payload.get("end_user"):
        yield "litellm.metadata.user_api_key_end_user_id", str(user)
    scalars = ((name, value) for name, value in own.items() if isinstance(value, (str, int, float)))
    plain = ((str(name), value) for name, value in scalars if not _INTERNAL.match(str(name)))
    for _, (name, value) in zip(range(_MOST_METADATA), plain):
        yield "litellm.metadata." + name, value[:_MOST_TEXT] if isinstance(value, str) else value


def _error(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What went wrong; not in the provider's words, which may quote the prompt."""
    told = payload.get("error_information") or {}
    yield "error.type", str(told.get("error_class") or "_OTHER")
    code = str(told.get("error_code") or "")
    if re.match(r"^\d{3}$", code):
        yield "http.response.status_code", int(code)
    elif code:
        yield "litellm.error.code", code
    names = ("llm_provider", "normalized_error", "error_rate_limit_category", "error_rate_limit_type")
    yield from _renamed(told, {name: "litellm.error." + name.replace("error_", "", 1) for name in names})


def _tokens(payload: Mapping[str, Any], usage: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        if isinstance(payload.get(name), int):
            short = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}.get(name, name)
            yield "gen_ai.usage." + short, payload[name]
    for attribute, places in _USAGE.items():
        counts = (_at(usage, place) for place in places)
        found = [count for count in counts if isinstance(count, int)]
        if found:
            yield attribute, max(found)  # a zero under one name only means that another was used


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def _cost(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """LiteLLM's own cost, where it could tell; of a cache hit, what it saved."""
    if payload.get("cache_hit") is True:
        yield "litellm.cost.total", 0.0
        yield "litellm.saved_cache_cost", float(payload.get("saved_cache_cost") or 0.0)
        return
    unknown = kwargs.get("response_cost") is None or payload.get("zero_cost_diagnostic")
    if unknown and not payload.get("response_cost"):
        reason = (payload.get("zero_cost_diagnostic") or {}).get("reason")
        yield "litellm.cost.unknown", str(reason or "not_computed")
        return
    yield "litellm.cost.total", float(payload["response_cost"])
    parts = payload.get("cost_breakdown") or {}
    for name in ("input_cost", "output_cost", "tool_usage_cost", "cache_read_cost", "cache_creation_cost"):
        if isinstance(parts.get(name), (int, float)):
            yield "litellm.cost." + name.replace("_cost", ""), float(parts[name])
    for name in ("discount_amount", "margin_total_amount"):
        if parts.get(name):
            yield "litellm.cost." + name, float(parts[name])


def _content(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Messages, as LiteLLM lets loggers see them, in the conventions' shape."""
    asked = payload.get("messages")
    asked = asked if isinstance(asked, list) else [{"role": "user", "content": asked}] if asked else []
    response = payload.get("response")
    choices = response.get("choices") if isinstance(response, dict) else None
    answered = [choice.get("message") for choice in choices or () if isinstance(choice, dict)]
    for name, messages in (("gen_ai.input.messages", asked), ("gen_ai.output.messages", answered)):
        if messages:
            text = json.dumps([_message(each) for each in messages], default=str)
            if len(text) <= _MOST_CONTENT:
                yield name, text


def _message(message: Any) -> Attributes:
    said = message if isinstance(message, dict) else {"role": "user", "content": message}
    content = said.get("content")
    parts: list[Attributes] = []
    if content:
        parts.append({"type": "text", "content": content if isinstance(content, str) else json.dumps(content)})
    for call in said.get("tool_calls") or ():
        function = _at(call, ("function",)) or {}
        named = {"name": _at(function, ("name",)), "arguments": _at(function, ("arguments",))}
        parts.append({"type": "tool_call", "id": _at(call, ("id",)), **named})
    return {"role": said.get("role") or "user", "parts": parts}


def _metadata(params: Mapping[str, Any]) -> Attributes:
    """LiteLLM keeps its own notes in either of two places, by route."""
    both: Attributes = {}
    for name in ("metadata", "litellm_metadata"):
        if isinstance(params.get(name), dict):
            both.update(params[name])
    return both


def _routers_trace(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """What all attempts of a router's request share, where each has a call id of its own: in the SDK."""
    counts = metadata.get("attempted_retries") is not None
    return str(params.get("litellm_trace_id") or "") if counts and not params.get("proxy_server_request") else ""


def _is_later(metadata: Mapping[str, Any]) -> bool:
    """Whether the router says that other attempts came before this one: an application may reuse a trace id."""
    return bool(metadata.get("attempted_retries") or metadata.get("previous_models"))


def _span_of(params: Mapping[str, Any], metadata: Mapping[str, Any]) -> Any:
    """The span that LiteLLM's `otel` callback would put its own below, found as it finds it."""
    span = metadata.get("litellm_parent_otel_span")
    try:
        from opentelemetry import trace

        if span is None:
            headers = (params.get("proxy_server_request") or {}).get("headers") or {}
            if headers.get("traceparent"):
                from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

                around = TraceContextTextMapPropagator().extract({"traceparent": headers["traceparent"]})
                span = trace.get_current_span(around)
            else:
                span = trace.get_current_span()
        found = span.get_span_context()
        return found if found.is_valid else None
    except Exception:
        return None


def _number(variable: str, default: float) -> int:
    try:
        return max(1, int(os.environ.get(variable) or default))
    except ValueError:
        return int(default)


def _trim(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)


handler = TokentideCallback()
proxy_handler_instance = handler
