"""The corpus: real exports of released libraries, what really happened (`truth.json`), and how the two are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from otel_exporter.decode import Decoder
from processors.batch import Batch, Signal
from processors.normalise import Normalise

DATA = Path(__file__).parent / "data"
#: Truth's name of a token class -> ours.
TOKENS = {
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
}
ATTRIBUTION = ("team", "team_id", "api_key_alias", "user_id", "end_user", "session_id", "tags")
_DECODE = Decoder(None)
_NORMALISE = Normalise()


@dataclass(frozen=True)
class Case:
    """One captured scenario of one producer."""

    producer: str
    name: str
    truth: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.producer}/{self.name}"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What can be known from the export, one entry a call."""
        return [call for call in self.truth["calls"] if call.get("observable", True)]

    def batches(self) -> list[Batch]:
        """The traces and the logs of this case, normalised."""
        return list(_normalised(self.producer, self.name))

    def observations(self) -> pl.DataFrame:
        """Everything our dialects recognise in this case."""
        return pl.concat([batch.observations for batch in self.batches()])


@cache
def _normalised(producer: str, name: str) -> tuple[Batch, ...]:
    """Several tests look at each case, and nobody changes a batch."""
    return tuple(
        _NORMALISE(_DECODE.decode(signal, [file.read_bytes()], "t"))
        for signal in (Signal.TRACES, Signal.LOGS)
        if (file := DATA / producer / f"{name}.{signal.value}.pb").exists()
    )


def cases(*producers: str) -> Iterator[Case]:
    """The cases of the producers whose name starts so, all of them without a name."""
    for file in sorted(DATA.glob("*/truth.json")):
        if file.parent.name.startswith(producers or ("",)):
            for name, truth in json.loads(file.read_text()).items():
                yield Case(file.parent.name, name, truth)


def differences(truths: Sequence[Mapping[str, Any]], calls: pl.DataFrame) -> list[str]:
    """Why these calls are not the truth: no reason when every true call finds one of its own and none is left."""
    left = calls.to_dicts()
    reasons = [] if len(left) == len(truths) else [f"{len(left)} calls, want {len(truths)}"]
    for truth in truths:
        match = next((call for call in left if not faults(truth, call)), None)
        if match is None:
            reasons.append(min((faults(truth, call) for call in left), key=len, default=["nothing left"])[0])
        else:
            left.remove(match)
    return reasons


def faults(truth: Mapping[str, Any], call: Mapping[str, Any]) -> list[str]:
    """In what a call differs from a true one."""
    if truth["status"] != call["status"]:
        return [f"status {call['status']}"]
    found = list(_token_faults(truth, call)) + list(_attribution_faults(truth, call))
    if truth["error_code"] is not None and call["error_code"] != str(truth["error_code"]):
        found.append(f"error_code {call['error_code']}, want {truth['error_code']}")
    if truth["status"] == "ok" and not _same_model(truth, call["model"] or ""):
        found.append(f"model {call['model']}, want {truth['model']}")
    if truth["provider"] and call["provider"] != truth["provider"]:
        found.append(f"provider {call['provider']}, want {truth['provider']}")
    if bool(truth.get("served_from_gateway_cache")) != bool(call["cache_hit"]):
        found.append(f"cache_hit {call['cache_hit']}")
    return found


def _token_faults(truth: Mapping[str, Any], call: Mapping[str, Any]) -> Iterator[str]:
    for theirs, ours in TOKENS.items():
        said = call[ours]
        if truth["status"] != "ok":
            if said not in (None, 0):
                yield f"{ours} {said} on a failed call"
        elif truth[theirs] is None:
            if said == 0 and ours in ("input_tokens", "output_tokens"):
                yield f"{ours} shown as 0, is unknown"
        elif said not in _wanted(truth, theirs) and not (said is None and truth[theirs] == 0 and "put" not in ours):
            yield f"{ours} {said}, want {truth[theirs]}"


def _attribution_faults(truth: Mapping[str, Any], call: Mapping[str, Any]) -> Iterator[str]:
    for name in ATTRIBUTION:
        if truth.get(name) and call[name] not in _wanted(truth, name):
            yield f"{name} {call[name]!r}, want {truth[name]!r}"
        if name != "user_id" and not truth.get(name) and call[name]:
            yield f"{name} {call[name]!r}, nobody said so"


def _wanted(truth: Mapping[str, Any], name: str) -> list[Any]:
    return [truth[name], *truth.get("accept", {}).get(name, [])]


def _same_model(truth: Mapping[str, Any], model: str) -> bool:
    """With or without the date the provider adds."""
    name = model.rpartition("/")[2]
    names = [each for each in (*_wanted(truth, "model"), truth.get("response_model")) if each]
    return any(name == each or (name and (name.startswith(each) or each.startswith(name))) for each in names)
