"""Calls whose cost is known, and the spans that report them: a gateway's, a client's, a framework's around both."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Part = Literal["agent", "wrapper", "client", "gateway"]
#: Which spans report a call; the agent's and the wrapper's repeat its totals and must never be charged.
SHAPES: Final[tuple[tuple[Part, ...], ...]] = (
    ("client",),
    ("gateway",),
    ("client", "gateway"),
    ("client", "gateway"),
    ("wrapper", "client", "gateway"),
    ("agent", "client", "gateway"),
    ("agent", "wrapper", "client"),
)
#: OpenAI's list prices of gpt-4o, dollars a token.
INPUT, OUTPUT = Decimal("0.0000025"), Decimal("0.00001")
SECOND: Final = 10**9
_DEPTH: Final[dict[Part, int]] = {"agent": 0, "wrapper": 1, "client": 2, "gateway": 3}
_SCOPES: Final[dict[Part, str]] = {
    "agent": "my.agent",
    "wrapper": "openinference.instrumentation.langchain",
    "client": "opentelemetry.instrumentation.openai_v2",
    "gateway": "litellm",
}


@dataclass(frozen=True)
class Call:
    """One LLM call of the test's world; everything about it follows from the seed and its number."""

    seed: int
    number: int
    base: int  # nanoseconds: when the world began

    @cached_property
    def _draw(self) -> tuple[tuple[Part, ...], int, int, int, str, bytes]:
        rng = random.Random(f"{self.seed}.{self.number}")
        response = f"chatcmpl-{rng.randbytes(14).hex()}"
        return (rng.choice(SHAPES), rng.randint(20, 5000), rng.randint(1, 900), rng.randint(1, 4096), response,
                rng.randbytes(16))  # fmt: skip

    @property
    def parts(self) -> tuple[Part, ...]:
        """The spans that report it."""
        return self._draw[0]

    @property
    def tokens(self) -> tuple[int, int]:
        """Input, output."""
        return self._draw[1], self._draw[2]

    @property
    def response_id(self) -> str:
        """The provider's id of the answer: unique."""
        return self._draw[4]

    @property
    def reported(self) -> Decimal:
        """What the gateway says it cost: a fraction that binary floating point holds exactly."""
        return Decimal(self._draw[3]) / 4096

    @property
    def listed(self) -> Decimal:
        """What it costs by the price list: charged when no gateway says a cost."""
        return self.tokens[0] * INPUT + self.tokens[1] * OUTPUT

    def cost(self, stored: Iterable[Part]) -> Decimal | None:
        """What is charged when these spans of it are stored; None: it is not a call at all."""
        known = set(stored)
        if "gateway" in known:
            return self.reported
        return self.listed if known & {"client", "wrapper"} else None

    def span(self, part: Part) -> Span:
        """One of its spans."""
        depth = self.parts.index(part)
        parent = _span_id(self._draw[5], self.parts[depth - 1]) if depth else b""
        start = self.base - (self.number * 37 % 5400) * SECOND + _DEPTH[part] * 10_000_000
        return Span(
            trace_id=self._draw[5],
            span_id=_span_id(self._draw[5], part),
            parent_span_id=parent,
            name=f"{part} {self.number}",
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=start,
            end_time_unix_nano=start + 2 * SECOND - 2 * _DEPTH[part] * 10_000_000,
            attributes=[KeyValue(key=key, value=_value(value)) for key, value in self._said(part).items()],
        )

    def _said(self, part: Part) -> Mapping[str, str | int | float]:
        if part == "gateway":
            return self._gateway()
        tokens = {"gen_ai.usage.input_tokens": self.tokens[0], "gen_ai.usage.output_tokens": self.tokens[1]}
        if part == "agent":
            return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "helper", **tokens}
        if part == "wrapper":
            return {
                "openinference.span.kind": "LLM",
                "llm.model_name": "gpt-4o",
                "llm.token_count.prompt": self.tokens[0],
                "llm.token_count.completion": self.tokens[1],
            }
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o",
            "gen_ai.response.id": self.response_id,
            **tokens,
        }

    def _gateway(self) -> Mapping[str, str | int | float]:
        return {
            "gen_ai.operation.name": "acompletion",
            "llm.request.type": "completion",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o",
            "gen_ai.response.id": self.response_id,
            "litellm.provider.model": "openai/gpt-4o",
            "hidden_params": '{"model_id": null, "cache_key": null}',
            "metadata.user_api_key_team_alias": f"team-{self.number % 3}",
            "gen_ai.usage.input_tokens": self.tokens[0],
            "gen_ai.usage.output_tokens": self.tokens[1],
            "gen_ai.cost.total_cost": float(self.reported),
        }


@dataclass(frozen=True)
class Piece:
    """One span of a call, on its way."""

    call: Call
    part: Part

    @property
    def id(self) -> str:
        """Unique in this world, and the name its span is stored under."""
        return f"{self.part} {self.call.number}"


def request(pieces: Iterable[Piece]) -> bytes:
    """An export of these spans, in this order, each under its producer's scope."""
    message = ExportTraceServiceRequest()
    for piece in pieces:
        block = message.resource_spans.add()
        service = "litellm-proxy" if piece.part == "gateway" else "shop"
        block.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value=service)))
        scope = block.scope_spans.add()
        scope.scope.name = _SCOPES[piece.part]
        scope.spans.append(piece.call.span(piece.part))
    return bytes(message.SerializeToString())


def beginning() -> int:
    """When a world that starts now began: far enough back that all its calls have ended."""
    return time.time_ns() - 600 * SECOND


def _span_id(trace: bytes, part: Part) -> bytes:
    return bytes([_DEPTH[part] + 1]) + trace[:7]


def _value(value: str | float) -> AnyValue:
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=value)
