"""Many series: read in pages, forecast in parallel processes, stored as they are done, so a cut run can go on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from forecasting import results, rollups
from forecasting.forecast import Forecast, Wish, forecast
from forecasting.series import Series

if TYPE_CHECKING:
    from clickhouse_schema.store import Store
    from forecasting.rollups import Question

#: Series a worker gets at once, and a file of results holds.
_BATCH: Final = 10
#: Batches that wait or are worked on, per worker: bounds memory.
_AHEAD: Final = 2
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        run_id: as in `genai_forecast`.
        series: all there are to forecast.
        earlier: forecast before, by a run that was cut or that is repeated.
        forecasts: made now, in the order they were done.
        failed: series without a forecast, with the reason.
    """

    run_id: str
    series: int = 0
    earlier: int = 0
    forecasts: list[Forecast] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """A series and what is wanted of it."""

    series: Series
    wish: Wish


def run(
    store: Store,
    asked: Question,
    wish: Wish,
    *,
    prophet_series: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Forecast every series of ``asked`` that has no forecast from that moment yet.

    Args:
        store: rollups are read from it and results written to it, here only; workers never open it.
        asked: which series.
        wish: horizon, country, cap.
        prophet_series: the so many largest series get Prophet among their models.
        workers: processes, by default one per core; 1 works in this process.
        progress: told series done so far, and all.
    """
    outcome = Outcome(str(uuid4()))
    wanted = rollups.keys(store, asked)
    finished = results.done(store, asked, wish.horizon)
    large = set(wanted[:prophet_series])
    left = [key for key in wanted if key not in finished]
    outcome.series, outcome.earlier = len(wanted), len(wanted) - len(left)
    progress(outcome.earlier, outcome.series)
    work = (
        Work(one, replace(wish, prophet=one.key in large or wish.prophet)) for one in rollups.series(store, asked, left)
    )
    for number, answers in enumerate(_worked(work, min(workers or os.cpu_count() or 1, -(-len(left) // _BATCH)))):
        made = [answer for answer in answers if isinstance(answer, Forecast)]
        if made:
            frame = results.rows(made, asked, outcome.run_id, datetime.now(UTC))
            results.write(store, frame, f"forecast/{outcome.run_id}/{number}")
        outcome.forecasts += made
        outcome.failed.update(answer for answer in answers if not isinstance(answer, Forecast))
        progress(outcome.earlier + len(outcome.forecasts) + len(outcome.failed), outcome.series)
    return outcome


Answer = Forecast | tuple[str, str]


def _worked(work: Iterator[Work], workers: int) -> Iterator[list[Answer]]:
    """Batches of answers as they are done, never more than a few batches ahead of what was read."""
    batches = iter(lambda: list(islice(work, _BATCH)), [])
    if workers <= 1:
        yield from map(answer, batches)
        return
    with _pool(workers) as pool:
        waiting: set[Future[list[Answer]]] = {pool.submit(answer, one) for one in islice(batches, _AHEAD * workers)}
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            waiting |= {pool.submit(answer, one) for one in islice(batches, len(ready))}
            yield from (future.result() for future in ready)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes (a fork would inherit the embedded database), one thread each; when cut, nothing more begins."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the one that reads and writes decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def answer(work: Sequence[Work]) -> list[Answer]:
    """The forecasts of some series; a series that cannot be forecast answers its name and why."""
    answers: list[Answer] = []
    for one in work:
        try:
            answers.append(forecast(one.series, one.wish))
        except ValueError as error:
            answers.append((one.series.key.value, str(error)))
    return answers
