"""Acknowledgement latency of a one-span exporter while the service works at half load.

``python -m benchmarks.ack_latency [seconds]`` starts `tokentide serve`, finds how fast it takes 512-span requests over
OTLP/HTTP, then sends at half that rate while a second client exports one span at a time, and prints p50 and p99.
"""

from __future__ import annotations

import http.client
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.process import free_port
from benchmarks.traffic import requests


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    bodies = list(requests(120, 512))
    with tempfile.TemporaryDirectory() as directory:
        ports = [free_port() for _ in range(3)]
        serve = subprocess.Popen(
            [
                *(sys.executable, "-m", "otel_exporter.cli", "serve", "--data-dir", str(Path(directory) / "d")),
                *("--grpc-port", str(ports[0]), "--http-port", str(ports[1]), "--health-port", str(ports[2])),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(ports[1])
            started = time.perf_counter()
            for body in bodies:
                _post(ports[1], body)
            pause = 2 * (time.perf_counter() - started) / len(bodies)
            stop = threading.Event()
            load = threading.Thread(target=_load, args=(ports[1], pause, stop))
            load.start()
            latencies = _one_span_exporter(ports[1], seconds)
            stop.set()
            load.join()
        finally:
            serve.terminate()
            serve.wait(60)
    cuts = statistics.quantiles(latencies, n=100)
    print(f"half load = {512 / pause:,.0f} spans/s; {len(latencies)} one-span requests")
    print(f"ack_p50_ms={1e3 * cuts[49]:.1f} ack_p99_ms={1e3 * cuts[98]:.1f}")


def _one_span_exporter(port: int, seconds: float) -> list[float]:
    latencies = []
    until = time.monotonic() + seconds
    for body in requests(100_000, 1, seed=99):
        if time.monotonic() > until:
            break
        started = time.perf_counter()
        _post(port, body)
        latencies.append(time.perf_counter() - started)
        time.sleep(0.02)
    return latencies


def _load(port: int, pause: float, stop: threading.Event) -> None:
    due = time.monotonic()
    for body in requests(100_000, 512, seed=5):
        due += pause
        if stop.wait(max(0.0, due - time.monotonic())):
            return
        _post(port, body)


def _post(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    response = connection.getresponse()
    response.read()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"refused: {response.status}")


def _wait(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("serve did not start")


if __name__ == "__main__":
    main()
