"""Laws of every model."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.backtest import backtest, origins, said
from forecasting.forecast import HOUSE, HOUSE_BY_DAY, PROPHET
from forecasting.frequency import DAY, HOUR
from forecasting.models import Model, Past
from forecasting.models.prophet import DefaultProphet
from tests.unit.forecasting.made import START, usage

_EVERY: dict[str, Model] = {model.name: model for model in (*HOUSE, *HOUSE_BY_DAY, PROPHET, DefaultProphet())}


@pytest.mark.parametrize("name", _EVERY)
@pytest.mark.parametrize("frequency", [HOUR, DAY], ids=lambda frequency: frequency.name)
def test_every_model_continues_a_season(name: str, frequency: object) -> None:
    """From the shortest history a model accepts on, it answers the horizon, finite, never negative, not absurd."""
    assert frequency in (HOUR, DAY)
    model, chosen = _EVERY[name], (HOUR if frequency is HOUR else DAY)
    for length in (model.shortest(chosen), 5 * chosen.seasons[-1]):
        values = usage(max(length, 24))[-length:]
        path = said(model, Past(values, START, chosen), 30)
        assert path.shape == (30,)
        assert (path >= 0).all()
        assert path.max() <= 20 * max(values.max(), 1.0)


@pytest.mark.parametrize("name", _EVERY)
def test_a_constant_or_empty_past_is_no_accident(name: str) -> None:
    """Constant series, and series of zeros, are continued or refused with ValueError: nothing else."""
    for values in (np.zeros(700), np.full(700, 3.0)):
        try:
            path = said(_EVERY[name], Past(values, START, HOUR), 10)
        except ValueError:
            continue
        assert np.abs(path - values[0]).max() < 0.5


def test_prophet_knows_holidays_and_a_cap() -> None:
    """With a country its holidays get effects of their own; with a cap nothing is foreseen above it."""
    days = usage(800, noise=0.1)
    days[353:355] = 0.0  # 24 and 25 December 2026
    plain = said(PROPHET, Past(days[:718], START, DAY), 5)
    informed = said(PROPHET, Past(days[:718], START, DAY, country="DE"), 5)
    assert not np.allclose(plain, informed)
    assert said(PROPHET, Past(days, START, DAY, cap=9.0), 40).max() <= 9.0


def test_the_backtest_never_looks_ahead() -> None:
    """Whatever happens after an origin, even what cannot be, what the models said from that origin stays the same."""
    values, horizon = usage(900), 24
    starts = origins(len(values), horizon, windows=3, step=24, shortest=600)
    before = backtest(Past(values, START, HOUR), values, HOUSE, starts, horizon)
    changed = values.copy()
    changed[starts[0] :] = 1e6 - changed[starts[0] :]
    after = backtest(Past(changed, START, HOUR), changed, HOUSE, starts, horizon)
    assert before.names == after.names
    assert (before.paths[:, 0] == after.paths[:, 0]).all()
    assert not (before.actual[0] == after.actual[0]).any()


def test_origins_end_where_the_horizon_begins() -> None:
    """The newest origin is scored on exactly the last values, and none has less history than asked for."""
    assert origins(100, 10, windows=4, step=20, shortest=40) == [50, 70, 90]
    assert origins(20, 30, windows=4, step=5, shortest=1) == []
