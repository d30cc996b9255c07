"""The doctor in front of real LiteLLM: it names each shape, and what it prescribes does mend it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway import proxy
from tests.e2e.house import House, outside, serving, tokentide
from tests.e2e.provider import provider

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
IN_SPAN = Path(__file__).with_name("litellm_in_span.py")
SEMCONV = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
MEND = {"USE_OTEL_LITELLM_REQUEST_SPAN": "true"}
Diagnosis = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The provider behind everything here."""
    with provider() as url:
        yield url


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One serve for all: services tell the cases apart."""
    with serving(tmp_path_factory.mktemp("doctor") / "data") as running:
        yield running


def diagnosed(house: House, service: str) -> Diagnosis:
    """What `tokentide doctor` says of one service."""
    ran = tokentide("doctor", "--format", "json", "--data-dir", house.data_dir, cwd=house.data_dir)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said[0]["queryable_ms"] is not None, "the probe did not arrive"
    return {
        "emitters": [each for each in said if each.get("service") == service],
        "findings": [each for each in said if each.get("subject") == service],
    }


def shapes(found: Diagnosis) -> set[tuple[str, str]]:
    """Who sends, and from where."""
    return {(emitter["shape"], emitter["side"]) for emitter in found["emitters"]}


def arrived(house: House, service: str, want: int) -> int:
    """Wait for the calls of a service; how many there are."""
    calls = f"SELECT call_key FROM genai_calls WHERE application = '{service}'"
    return len(house.wait_for(calls, lambda rows: len(rows) >= want))


def requested(house: House, service: str) -> None:
    """Wait for the web framework's span of the request, which LiteLLM sends in a batch of its own."""
    house.wait_for(f"SELECT 1 FROM otel_traces WHERE ServiceName = '{service}' AND startsWith(SpanName, 'POST /')")


def mends(found: Diagnosis) -> dict[str, str]:
    """Findings and their mends."""
    return {finding["rule"]: finding["mend"] for finding in found["findings"]}


@pytest.mark.parametrize(
    ("name", "variables", "shape", "prescribed"),
    [
        ("v1", {}, "litellm.v1", "litellm.environment_forced"),
        ("v1-opt-in", SEMCONV, "litellm.semconv", "litellm.environment_forced"),
        ("v2", {"LITELLM_OTEL_V2": "true"}, "litellm.v2", "litellm.v2_no_metadata"),
    ],
)
def test_proxy_is_named(
    house: House, upstream: str, tmp_path: Path, name: str, variables: dict[str, str], shape: str, prescribed: str
) -> None:
    """A real proxy in each of its three dialects is named as what it is, with one call each and its own mend."""
    with proxy(tmp_path / name, upstream, house.url, variables) as gateway:
        gateway.ask(metadata={"feature": "checkout"})
        assert arrived(house, name, 1) == 1
        requested(house, name)
    found = diagnosed(house, name)
    assert shapes(found) == {(shape, "proxy")}
    assert prescribed in mends(found)
    assert "litellm.request_span_lost" not in mends(found)


@pytest.mark.parametrize(
    ("name", "variables", "shape"), [("v1-lost", {}, "litellm.raw"), ("v1-kept", MEND, "litellm.v1")]
)
def test_custom_auth_loses_the_span_and_the_mend_brings_it(
    house: House, upstream: str, tmp_path: Path, name: str, variables: dict[str, str], shape: str
) -> None:
    """Behind custom_auth only the raw span comes and the doctor says what mends it; with the mend the call is whole."""
    with proxy(tmp_path / name, upstream, house.url, variables, custom_auth=True) as gateway:
        gateway.ask()
        assert arrived(house, name, 1) == 1
        requested(house, name)
    found = diagnosed(house, name)
    assert shapes(found) == {(shape, "proxy")}
    lost = mends(found).get("litellm.request_span_lost")
    assert lost == (None if variables else "USE_OTEL_LITELLM_REQUEST_SPAN=true")


@pytest.mark.parametrize(("name", "variables", "whole"), [("shop", {}, 2), ("shop-mended", MEND, 3)])
def test_calls_inside_one_span_overwrite_each_other_until_mended(
    house: House, upstream: str, name: str, variables: dict[str, str], whole: int
) -> None:
    """Of two SDK calls in one span of the application one is overwritten, and said to be; mended, all are whole."""
    environment = outside(
        OTEL_EXPORTER="otlp_http",
        OTEL_ENDPOINT=house.url,
        OTEL_SERVICE_NAME=name,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        **variables,
    )
    command = [sys.executable, str(IN_SPAN), upstream]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert arrived(house, name, 3) == 3, "raw spans recover the overwritten call"
    found = diagnosed(house, name)
    assert shapes(found) == {("litellm.v1", "sdk")}
    described = house.ask(
        f"SELECT count() AS n FROM otel_traces WHERE ServiceName = '{name}'"
        " AND mapContains(SpanAttributes, 'llm.request.type')"
    )
    assert described == [{"n": whole}]
    overwritten = mends(found).get("litellm.calls_overwritten")
    assert overwritten == (None if variables else "USE_OTEL_LITELLM_REQUEST_SPAN=true")
