"""A month replayed with the rules as they are shipped: what was planted is told in time, hardly anything else."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import month
from tests.e2e.house import tokentide

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(3600)]
_WEEKS = (month.UNTIL - month.SINCE) / timedelta(weeks=1)


def test_a_month_of_alerts(tmp_path: Path) -> None:
    """The overrun is predicted before the money is gone, the spike burns in minutes, at most one false page a week."""
    made = month.calls(seed=7)
    month.write(tmp_path / "data", made)
    (tmp_path / "tokentide.yaml").write_text(month.config())
    alerts = _replayed(tmp_path, "30d", month.UNTIL, step="5m")
    at_the_spike = _replayed(tmp_path, "2d", month.SPIKE + timedelta(days=1), step="1m")

    gone = month.exhausted(made, month.OVERRUN)
    predicted = _of(alerts, "BudgetOverrunPredicted", month.OVERRUN)
    assert predicted and _fired(predicted[0]) < gone - timedelta(days=1)
    exhausted = _of(alerts, "BudgetExhausted", month.OVERRUN)
    assert [abs(_fired(one) - gone) <= timedelta(minutes=6) for one in exhausted] == [True]

    burns = [one for one in _of(at_the_spike, "BudgetBurn", month.SPIKED) if one["severity"] == "critical"]
    assert month.SPIKE <= _fired(burns[0]) <= month.SPIKE + timedelta(minutes=10)

    of_the_spike = (month.SPIKE, month.SPIKE + timedelta(hours=1))
    burning = (one for one in _of(alerts, "BudgetBurn", month.SPIKED) if one["severity"] == "critical")
    planted = [*exhausted, *(one for one in burning if of_the_spike[0] <= _fired(one) <= of_the_spike[1])]
    false = [one for one in alerts if one["severity"] == "critical" and one not in planted]
    assert len(false) / _WEEKS <= 1, false
    assert not _of(alerts, "BudgetBurn", "data")  # the nightly batch


def _replayed(directory: Path, lasting: str, until: datetime, *, step: str) -> list[dict[str, Any]]:
    span = ("--replay", lasting, "--until", f"{until:%Y-%m-%d}", "--step", step, "--format", "json")
    where = ("--config", directory / "tokentide.yaml", "--data-dir", directory / "data")
    ran = tokentide("alerts", "test", *span, *where, cwd=directory, patience=3400)
    assert ran.returncode == 0, ran.stderr
    alerts: list[dict[str, Any]] = json.loads(ran.stdout)
    print(
        *(f"{one['fired_at']} {one['severity']} {one['alert']} {one['labels'].get('budget', '')}" for one in alerts),
        sep="\n",
    )
    return alerts


def _of(alerts: list[dict[str, Any]], name: str, budget: str) -> list[dict[str, Any]]:
    return [one for one in alerts if one["alert"] == name and one["labels"].get("budget") == budget]


def _fired(alert: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(alert["fired_at"])
