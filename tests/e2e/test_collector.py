"""A real OpenTelemetry Collector, built from our recipe and run with the configuration we ship, in front of us."""

from __future__ import annotations

import http.client
import os
import random
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.process import free_port
from otel_exporter.decode import Decoder
from processors.batch import Signal
from processors.normalise import Normalise
from tests.certificates import Authority
from tests.corpus.cases import DATA
from tests.e2e.collector import BASE, RECIPE, Collector, Cutting, Recorder, binary
from tests.e2e.house import PATIENCE, PROTOBUF, House, outside, serving

# The first test may have to build the Collector.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(2400)]
TOKEN = "ingest-token"
NOW = (int(time.time()) - 600) * 10**9
SECOND = 10**9
#: How much faster than in the world time passes: we are away for five minutes, and the Collector waits up to 30 seconds
#: between two attempts. 1 is real time.
SCALE = int(os.environ.get("TEST_OUTAGE_SCALE", "50"))
OUTAGE = 300 / SCALE
RETRY = {"initial_interval": f"{1000 // SCALE}ms", "max_interval": f"{30_000 // SCALE}ms"}
HASTE: dict[str, Any] = {"exporters": {"otlp_grpc": {"retry_on_failure": RETRY}}}
STORED = """
SELECT (SELECT count() FROM otel_traces) AS spans, (SELECT uniqExact(SpanId) FROM otel_traces) AS different,
       count() AS calls, uniqExact(response_id) AS responses, sum(input_tokens) AS input_tokens FROM genai_calls
"""


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector."""
    return binary()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signed Tokentide's, the Collector's and a sender's certificate."""
    made = Authority(tmp_path_factory.mktemp("tls"), "tokentide", "otelcol", "sender")
    (made.folder / "tokens").write_text("search-token search team\nsupport-token\n")
    return made


def secured(authority: Authority) -> dict[str, str]:
    """The variables of secure.yaml, with mTLS on the second hop."""
    folder = authority.folder
    return {
        "OTELCOL_CERTIFICATE": str(folder / "otelcol.pem"),
        "OTELCOL_KEY": str(folder / "otelcol.key"),
        "OTELCOL_TOKENS": str(folder / "tokens"),
        "TOKENTIDE_AUTHORITY": str(authority.root),
        "TOKENTIDE_CLIENT_CERTIFICATE": str(folder / "otelcol.pem"),
        "TOKENTIDE_CLIENT_KEY": str(folder / "otelcol.key"),
    }


def identity(*numbers: int, size: int) -> bytes:
    """A trace or span id."""
    return random.Random(str(numbers)).randbytes(size)


def add_span(into: ExportTraceServiceRequest, trace: int, number: int, **attributes: object) -> Span:
    """One span; the first of a trace is its root. Two underscores in a name are a dot."""
    if not into.resource_spans:
        into.resource_spans.add().scope_spans.add()
    span = (
        into.resource_spans[0]
        .scope_spans[0]
        .spans.add(
            name=f"span {trace}.{number}",
            trace_id=identity(trace, size=16),
            span_id=identity(trace, number, size=8),
            parent_span_id=identity(trace, 0, size=8) if number else b"",
            kind=Span.SPAN_KIND_INTERNAL if number else Span.SPAN_KIND_SERVER,
            start_time_unix_nano=NOW + number,
            end_time_unix_nano=NOW + SECOND,
        )
    )
    for name, value in attributes.items():
        said = span.attributes.add(key=name.replace("__", ".")).value
        if isinstance(value, int):
            said.int_value = value
        else:
            said.string_value = str(value)
    return span


def chat(trace: int) -> dict[str, object]:
    """The attributes of an LLM call, one of its kind."""
    return {
        "gen_ai__operation__name": "chat",
        "gen_ai__provider__name": "openai",
        "gen_ai__request__model": "gpt-4o-mini",
        "gen_ai__response__id": f"chatcmpl-{identity(trace, size=12).hex()}",
        "gen_ai__usage__input_tokens": 100 + trace,
        "gen_ai__usage__output_tokens": 7,
    }


def call(trace: int) -> bytes:
    """A request: a server's span and the LLM call in it."""
    request = ExportTraceServiceRequest()
    add_span(request, trace, 0, http__request__method="POST")
    add_span(request, trace, 1, **chat(trace))
    return bytes(request.SerializeToString())


def post(port: int, body: bytes, tls: ssl.SSLContext | None = None, token: str = "") -> int:
    """The HTTP status of one trace request; 0 when nobody answers."""
    headers = {"Content-Type": PROTOBUF} | ({"Authorization": f"Bearer {token}"} if token else {})
    if tls is None:
        connection = http.client.HTTPConnection("localhost", port, timeout=20)
    else:
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=tls)
    try:
        with closing(connection):
            connection.request("POST", "/v1/traces", body, headers)
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0


def send(collector: Collector, bodies: Iterable[bytes]) -> None:
    """Send each body until it is acknowledged, as an SDK does."""
    for body in bodies:
        until = time.monotonic() + PATIENCE
        while post(collector.http, body) != 200:
            assert time.monotonic() < until, "never acknowledged"
            time.sleep(0.1)


def exactly_once(house: House, calls: Iterable[int]) -> None:
    """Wait until every call of `call` is stored; each once, with its tokens."""
    traces = list(calls)
    want = {
        "spans": 2 * len(traces),
        "different": 2 * len(traces),
        "calls": len(traces),
        "responses": len(traces),
        "input_tokens": sum(100 + trace for trace in traces),
    }
    found = house.wait_for(STORED, lambda rows: rows[0]["calls"] >= want["calls"])
    assert {name: int(value) for name, value in found[0].items()} == want


@pytest.mark.parametrize(
    "overlays",
    [(), ("secure",), ("tail-sampling",), ("load-balancing",), ("secure", "tail-sampling", "load-balancing")],
    ids="+".join,
)
def test_validate(otelcol: Path, authority: Authority, tmp_path: Path, overlays: tuple[str, ...]) -> None:
    """`otelcol validate` takes what we ship, alone and in combination, and would not take a key it does not know."""
    variables = secured(authority) | {"TOKENTIDE_RECEIVERS": "[localhost:4317, localhost:4319]"}
    done = Collector(otelcol, tmp_path / "good", *overlays, **variables).validate()
    assert done.returncode == 0, done.stderr
    assert "deprecat" not in done.stderr.lower()
    typo = {"processors": {"memory_limiter": {"limit_percent": 1}}}
    assert Collector(otelcol, tmp_path / "bad", *overlays, more=typo, **variables).validate().returncode != 0


def test_tls_and_authentication_on_both_hops(otelcol: Path, authority: Authority, tmp_path: Path) -> None:
    """Sender -TLS, token-> Collector -mTLS, token-> us, over both transports; nobody without a token gets in.

    And what the Collector and we say of ourselves arrives, too.
    """
    folder, port = authority.folder, free_port()
    house_says = {
        "TOKENTIDE_INGEST__TOKEN": TOKEN,
        "TOKENTIDE_INGEST__GRPC__TLS__CERTIFICATE": str(folder / "tokentide.pem"),
        "TOKENTIDE_INGEST__GRPC__TLS__KEY": str(folder / "tokentide.key"),
        "TOKENTIDE_INGEST__GRPC__TLS__CLIENT_AUTHORITY": str(authority.root),
    }
    scraping = yaml.safe_load(BASE.read_text())["receivers"]["prometheus"]
    for job in scraping["config"]["scrape_configs"]:
        job["scrape_interval"] = job["scrape_timeout"] = "1s"
    with serving(tmp_path / "data", "--grpc-port", str(port), **house_says) as house:
        variables = secured(authority) | {
            "TOKENTIDE_ENDPOINT": f"https://localhost:{port}",
            "TOKENTIDE_METRICS": house.addresses["health"],
        }
        more = {"receivers": {"prometheus": scraping}}
        with Collector(otelcol, tmp_path / "otelcol", "secure", more=more, **variables) as collector:
            tls = authority.client()
            assert post(collector.http, call(0)) in {0, 400}, "without TLS"
            assert post(collector.http, call(0), tls) == 401
            assert post(collector.http, call(0), tls, "wrong-token") == 401
            assert post(collector.http, call(1), tls, "search-token") == 200
            credentials = grpc.ssl_channel_credentials(authority.root.read_bytes())
            with grpc.secure_channel(f"localhost:{collector.grpc}", credentials) as channel:
                export = TraceServiceStub(channel).Export
                with pytest.raises(grpc.RpcError) as refused:
                    export(ExportTraceServiceRequest.FromString(call(0)), timeout=20)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
                metadata = (("authorization", "Bearer support-token"),)
                export(ExportTraceServiceRequest.FromString(call(2)), timeout=20, metadata=metadata)
            exactly_once(house, (1, 2))
            names = "('otelcol_exporter_queue_size', 'tokentide_in_flight_bytes')"
            asked = f"SELECT DISTINCT MetricName AS name FROM otel_metrics_gauge WHERE name IN {names}"
            house.wait_for(asked, lambda rows: len(rows) == 2)


def test_the_second_hop_refuses_strangers(otelcol: Path, authority: Authority, tmp_path: Path) -> None:
    """A Collector without a certificate does not get in, its data wait; with one, they arrive."""
    folder, port = authority.folder, free_port()
    with serving(
        tmp_path / "data",
        "--grpc-port",
        str(port),
        TOKENTIDE_INGEST__GRPC__TLS__CERTIFICATE=str(folder / "tokentide.pem"),
        TOKENTIDE_INGEST__GRPC__TLS__KEY=str(folder / "tokentide.key"),
        TOKENTIDE_INGEST__GRPC__TLS__CLIENT_AUTHORITY=str(authority.root),
    ) as house:
        known = secured(authority) | {"TOKENTIDE_ENDPOINT": f"https://localhost:{port}"}
        stranger = {name: value for name, value in known.items() if "CLIENT" not in name}
        tls = authority.client()
        with Collector(otelcol, tmp_path / "otelcol", "secure", more=HASTE, **stranger) as collector:
            assert post(collector.http, call(1), tls, "search-token") == 200
            time.sleep(3)
            assert house.ask("SELECT count() AS n FROM otel_traces")[0]["n"] == 0
        with Collector(otelcol, tmp_path / "otelcol", "secure", more=HASTE, **known):
            exactly_once(house, (1,))


@contextmanager
def sending(collector: Collector, calls: range) -> Iterator[None]:
    """Send in the background; at the end wait until everything is acknowledged."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            for number in calls:
                send(collector, [call(number)])
                time.sleep(0.02)
        except AssertionError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failed


@pytest.mark.crash
def test_an_outage_loses_nothing(otelcol: Path, tmp_path: Path) -> None:
    """We are down for five minutes (of scaled time); the Collector is killed during the outage and after it.

    Whatever it acknowledged is stored exactly once: spans, calls, tokens.
    """
    port = free_port()
    options = ("--grpc-port", str(port))
    collector = Collector(otelcol, tmp_path / "otelcol", more=HASTE, TOKENTIDE_ENDPOINT=f"http://127.0.0.1:{port}")
    try:
        with serving(tmp_path / "data", *options, TOKENTIDE_INGEST__TOKEN=TOKEN) as house:
            collector.start()
            send(collector, map(call, range(20)))
            exactly_once(house, range(20))
        down = time.monotonic()
        with sending(collector, range(20, 170)):
            time.sleep(1.5)
            collector.kill()
            time.sleep(0.5)
            collector.start()
        time.sleep(max(0.0, OUTAGE - (time.monotonic() - down)))
        with serving(tmp_path / "data", *options, TOKENTIDE_INGEST__TOKEN=TOKEN) as house:
            with sending(collector, range(170, 250)):
                house.wait_for(STORED, lambda rows: int(rows[0]["calls"]) > 20)
                collector.kill()
                collector.start()
            exactly_once(house, range(250))
    finally:
        collector.kill()


def test_lost_answers_do_not_double(otelcol: Path, tmp_path: Path) -> None:
    """The network fails after we stored a request: the Collector sends it again, and we know it."""
    with (
        serving(tmp_path / "data", TOKENTIDE_INGEST__TOKEN=TOKEN) as house,
        Cutting(int(house.addresses["grpc"].rpartition(":")[2]), cuts=3) as cutting,
        Collector(
            otelcol, tmp_path / "otelcol", more=HASTE, TOKENTIDE_ENDPOINT=f"http://127.0.0.1:{cutting.port}"
        ) as collector,
    ):
        send(collector, map(call, range(20)))
        exactly_once(house, range(20))
        assert cutting.cuts_left == 0
        resent = [
            line for line in house.get("/metrics")[1].splitlines() if line.startswith("tokentide_resent_requests")
        ]
        assert sum(float(line.split()[-1]) for line in resent) >= 3


def decoded(bodies: Iterable[bytes]) -> Any:
    """The batch of these trace requests, normalised."""
    return Normalise()(Decoder(None).decode(Signal.TRACES, list(bodies), "t"))


def ids(bodies: Iterable[bytes]) -> Counter[tuple[bytes, bytes]]:
    """Trace and span id of every span in these requests."""
    return Counter(
        (span.trace_id, span.span_id)
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def wait(recorder: Recorder, spans: Iterable[tuple[bytes, bytes]]) -> Counter[tuple[bytes, bytes]]:
    """Wait until these spans have come, and a moment longer for those that should not."""
    until = time.monotonic() + PATIENCE
    while missing := set(spans) - set(ids(recorder.bodies())):
        assert time.monotonic() < until, f"{len(missing)} spans are missing, such as {next(iter(missing))}"
        time.sleep(0.2)
    time.sleep(1)
    return ids(recorder.bodies())


def test_probes_are_dropped_and_nothing_else(otelcol: Path, tmp_path: Path) -> None:
    """The root spans of probes go; a server's other spans, LiteLLM's /health and whatever is a call stay."""
    request, kept = ExportTraceServiceRequest(), ExportTraceServiceRequest()
    for trace, path in enumerate(("/healthz", "/readyz/", "/metrics", "/health/liveliness")):
        add_span(request, trace, 0, url__path=path)
        add_span(request, 10 + trace, 0, http__target=path)
    for into in (request, kept):
        for trace, path in enumerate(("/health", "/healthzone", "/v1/chat/completions", "/a/healthz"), 20):
            add_span(into, trace, 0, url__path=path)
        add_span(into, 30, 1, url__path="/healthz")
        add_span(into, 31, 0, url__path="/ping", **chat(31))
    with (
        Recorder() as recorder,
        Collector(otelcol, tmp_path / "otelcol", TOKENTIDE_ENDPOINT=f"http://{recorder.target}") as collector,
    ):
        send(collector, [request.SerializeToString()])
        want = ids([kept.SerializeToString()])
        assert wait(recorder, want) == want


def test_sampling_never_drops_a_call(otelcol: Path, tmp_path: Path) -> None:
    """Of every dialect's real exports, and with 0 % sampled, each observation arrives once, in its whole trace.

    So does a call that comes long after the sampler dropped its trace. Traces without one are dropped.
    """
    policies = yaml.safe_load((RECIPE / "tail-sampling.yaml").read_text())["processors"]["tail_sampling"]["policies"]
    more = {"processors": {"tail_sampling": {"decision_wait": "4s", "policies": policies[:1]}}}
    exports = [file.read_bytes() for file in sorted(DATA.glob("*/*.traces.pb"))]
    others = ExportTraceServiceRequest()
    for trace in range(50):
        add_span(others, trace, 0)
        add_span(others, trace, 1, db__system="postgresql")
    late = ExportTraceServiceRequest()
    add_span(late, 7, 2, **chat(7))
    observations = decoded(exports).observations
    with (
        Recorder() as recorder,
        Collector(
            otelcol, tmp_path / "otelcol", "tail-sampling", more=more, TOKENTIDE_ENDPOINT=f"http://{recorder.target}"
        ) as collector,
    ):
        send(collector, [others.SerializeToString(), *exports])
        marked = set(observations["trace_id"])
        whole = {span for span in ids(exports) if span[0].hex() in marked}
        wait(recorder, whole)
        time.sleep(5)
        send(collector, [late.SerializeToString()])
        found = wait(recorder, whole | set(ids([late.SerializeToString()])))
    columns = ["trace_id", "span_id", "source", "role", "model", "input_tokens", "output_tokens"]
    unique = observations.select(columns).unique()
    arrived = decoded(recorder.bodies()).observations.select(columns).unique()
    lost = unique.join(arrived, on=columns, how="anti", nulls_equal=True)
    assert lost.is_empty(), lost
    assert not set(ids([others.SerializeToString()])) & set(found)
    assert {span: count for span, count in found.items() if count > max(1, ids(exports)[span])} == {}


def test_traces_are_divided_and_stay_whole(otelcol: Path, tmp_path: Path) -> None:
    """With two receivers each trace is at one of them, however its spans were sent, and both have some."""
    requests = []
    for number in range(3):
        request = ExportTraceServiceRequest()
        for trace in range(40):
            add_span(request, trace, number)
        requests.append(request.SerializeToString())
    with Recorder() as one, Recorder() as other:
        variables = {"TOKENTIDE_RECEIVERS": f"[{one.target}, {other.target}]", "TOKENTIDE_PLAIN": "true"}
        with Collector(otelcol, tmp_path / "otelcol", "load-balancing", **variables) as collector:
            send(collector, requests)
            until = time.monotonic() + PATIENCE
            while sum(len(ids(receiver.bodies())) for receiver in (one, other)) < 120:
                assert time.monotonic() < until
                time.sleep(0.2)
        found = [ids(receiver.bodies()) for receiver in (one, other)]
    assert found[0] + found[1] == ids(requests)
    traces = [{trace for trace, _ in spans} for spans in found]
    assert traces[0] and traces[1] and not traces[0] & traces[1]


def test_the_binary_says_what_it_is(otelcol: Path) -> None:
    """The version tested is that of the recipe and of deploy/compose.yaml."""
    recipe = yaml.safe_load((RECIPE / "builder-config.yaml").read_text())["dist"]["version"]
    said = subprocess.run([otelcol, "--version"], env=outside(), capture_output=True, text=True, check=True).stdout
    image = yaml.safe_load((RECIPE.parent / "compose.yaml").read_text())["services"]["collector"]["image"]
    assert said.split()[-1] == recipe
    assert image.partition(":")[2] == recipe
