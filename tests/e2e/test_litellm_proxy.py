"""The doctor in front of real LiteLLM: it names each shape, and what it prescribes does mend it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.gateway import proxy
from tests.e2e.house import House, outside, serving, tokentide
from tests.e2e.provider import provider

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
IN_SPAN = Path(__file__).with_name("litellm_in_span.py")
SEMCONV = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
MEND = {"USE_OTEL_LITELLM_REQUEST_SPAN": "true"}
Diagnosis = dict[str, list[dict[str, Any]]]
#: Proxies: the service -> the variables that choose what it says, and whether it has `custom_auth`.
PROXIES: Final[dict[str, tuple[Mapping[str, str], bool]]] = {
    "v1": ({}, False),
    "v1-opt-in": (SEMCONV, False),
    "v2": ({"LITELLM_OTEL_V2": "true"}, False),
    "v1-lost": ({}, True),
    "v1-kept": (MEND, True),
}
#: Applications that make calls inside a span of theirs.
SHOPS: Final[dict[str, Mapping[str, str]]] = {"shop": {}, "shop-mended": MEND}


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


@pytest.fixture(scope="module")
def calls(house: House, upstream: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The calls that arrived of each service, once every one of them was used; the proxies start two at a time."""
    top = tmp_path_factory.mktemp("proxies")

    def ask(name: str) -> int:
        variables, custom_auth = PROXIES[name]
        with proxy(top / name, upstream, house.url, variables, custom_auth=custom_auth) as gateway:
            gateway.ask(**({} if custom_auth else {"metadata": {"feature": "checkout"}}))
            found = arrived(house, name, 1)
            requested(house, name)
            return found

    def shop(name: str) -> int:
        environment = outside(
            OTEL_EXPORTER="otlp_http",
            OTEL_ENDPOINT=house.url,
            OTEL_SERVICE_NAME=name,
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            **SHOPS[name],
        )
        command = [sys.executable, str(IN_SPAN), upstream]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=240)
        return arrived(house, name, 3)

    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(ask, name) for name in PROXIES}
        running |= {name: pool.submit(shop, name) for name in SHOPS}
        return {name: future.result() for name, future in running.items()}


@pytest.fixture(scope="module")
def said(house: House, calls: dict[str, int]) -> list[dict[str, Any]]:
    """What `tokentide doctor` says of all of them."""
    ran = tokentide("doctor", "--format", "json", "--data-dir", house.data_dir, cwd=house.data_dir)
    assert ran.returncode == 0, ran.stderr
    answer: list[dict[str, Any]] = json.loads(ran.stdout)
    assert answer[0]["queryable_ms"] is not None, "the probe did not arrive"
    return answer


def of(said: list[dict[str, Any]], service: str) -> Diagnosis:
    """What is about one service."""
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
    ("name", "shape", "prescribed"),
    [
        ("v1", "litellm.v1", "litellm.environment_forced"),
        ("v1-opt-in", "litellm.semconv", "litellm.environment_forced"),
        ("v2", "litellm.v2", "litellm.v2_no_metadata"),
    ],
)
def test_proxy_is_named(
    said: list[dict[str, Any]], calls: dict[str, int], name: str, shape: str, prescribed: str
) -> None:
    """A real proxy in each of its three dialects is named as what it is, with one call each and its own mend."""
    assert calls[name] == 1
    found = of(said, name)
    assert shapes(found) == {(shape, "proxy")}
    assert prescribed in mends(found)
    assert "litellm.request_span_lost" not in mends(found)


@pytest.mark.parametrize(
    ("name", "shape", "mend"),
    [("v1-lost", "litellm.raw", "USE_OTEL_LITELLM_REQUEST_SPAN=true"), ("v1-kept", "litellm.v1", None)],
)
def test_custom_auth_loses_the_span_and_the_mend_brings_it(
    said: list[dict[str, Any]], calls: dict[str, int], name: str, shape: str, mend: str | None
) -> None:
    """Behind custom_auth only the raw span comes and the doctor says what mends it; with the mend the call is whole."""
    assert calls[name] == 1
    found = of(said, name)
    assert shapes(found) == {(shape, "proxy")}
    assert mends(found).get("litellm.request_span_lost") == mend


@pytest.mark.parametrize(
    ("name", "whole", "mend"), [("shop", 2, "USE_OTEL_LITELLM_REQUEST_SPAN=true"), ("shop-mended", 3, None)]
)
def test_calls_inside_one_span_overwrite_each_other_until_mended(
    house: House, said: list[dict[str, Any]], calls: dict[str, int], name: str, whole: int, mend: str | None
) -> None:
    """Of two SDK calls in one span of the application one is overwritten, and said to be; mended, all are whole."""
    assert calls[name] == 3, "raw spans recover the overwritten call"
    found = of(said, name)
    assert shapes(found) == {("litellm.v1", "sdk")}
    described = house.ask(
        f"SELECT count() AS n FROM otel_traces WHERE ServiceName = '{name}'"
        " AND mapContains(SpanAttributes, 'llm.request.type')"
    )
    assert described == [{"n": whole}]
    assert mends(found).get("litellm.calls_overwritten") == mend
