"""Forecasts in a process of their own, at the lowest priority: a service that runs them stays small and quick.

The models, and what they import, are never loaded by the process that asks. It sends one message a batch over a pipe
and gets rows of `genai_forecast` back; when it ends, or has no more questions, the other process ends.
"""

from __future__ import annotations

import os
import pickle
import selectors
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import polars as pl

    from forecasting.rollups import Question
    from forecasting.series import Series

_PRIORITY: Final = 19  # the lowest
_GLANCE: Final = 0.5
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


class Stopped(Exception):
    """The service stops, and the batch with it."""


@dataclass(frozen=True)
class Batch:
    """Series to forecast so many buckets ahead; Prophet takes part where ``prophet`` says so."""

    asked: Question
    run_id: str
    horizon: int
    series: Sequence[Series]
    prophet: Sequence[bool]
    country: str = ""


@dataclass(frozen=True)
class Answer:
    """Rows of `genai_forecast`, and the series that have none, with the reason."""

    rows: pl.DataFrame | None
    forecasts: int = 0
    failed: dict[str, str] = field(default_factory=dict)


class Apart:
    """The other process; it is started by the first question."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def ask(self, batch: Batch) -> Answer:
        """The forecasts of a batch.

        Raises:
            Stopped: the service stops.
            RuntimeError: the other process died.
        """
        process = self._process = self._process or _started()
        source, sink = process.stdout, process.stdin
        assert source and sink
        try:
            pickle.dump(batch, sink)
            sink.flush()
            with selectors.DefaultSelector() as answers:  # unlike select(), it knows descriptors beyond 1024
                answers.register(source, selectors.EVENT_READ)
                while not answers.select(_GLANCE):
                    if self._stopping.is_set():
                        raise Stopped
            answer: Answer = pickle.load(source)
        except (OSError, EOFError):
            raise RuntimeError(f"the forecasting process died (exit code {process.wait()})") from None
        return answer


def _started() -> subprocess.Popen[bytes]:
    environment = dict(os.environ) | dict.fromkeys(_ONE_THREAD, "1")
    command = [sys.executable, "-m", "forecasting.apart"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def main() -> None:
    """The other process: batches on standard input, answers on standard output."""
    import signal

    os.nice(_PRIORITY)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the one that asks decides
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # models that print do not break the pipe
    serve(sys.stdin.buffer, answers)


def serve(batches: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until nobody asks any more."""
    while True:
        try:
            batch: Batch = pickle.load(batches)
        except EOFError:
            return
        pickle.dump(forecasts(batch), answers)
        answers.flush()


def forecasts(batch: Batch) -> Answer:
    """The batch, forecast in this process; one series that fails, however it does, costs no other."""
    from forecasting import results
    from forecasting.forecast import Forecast, Wish, forecast

    made: list[Forecast] = []
    failed: dict[str, str] = {}
    for one, prophet in zip(batch.series, batch.prophet, strict=True):
        try:
            made.append(forecast(one, Wish(batch.horizon, country=batch.country, prophet=prophet)))
        except Exception as error:  # a model's library may raise anything
            failed[f"{one.key.axis} {one.key.value}"] = f"{type(error).__name__}: {error}"
    rows = results.rows(made, batch.asked, batch.run_id, datetime.now(UTC)) if made else None
    return Answer(rows, len(made), failed)


if __name__ == "__main__":
    from forecasting.apart import main as run_main  # so that messages are pickled under this module's own name

    run_main()
