"""The configuration's section and the detectors' policy."""

from __future__ import annotations

from typing import get_args

from forecasting.anomalies.policy import AXES, MEASURES, TOTAL, Policy
from otel_exporter.anomalies import policy
from otel_exporter.config.foresight import Axis, Metric
from otel_exporter.config.tree import Settings


def test_the_configuration_says_what_the_detectors_know() -> None:
    """Defaults, metrics and axes of the configuration are those of the detectors."""
    assert policy(Settings()) == Policy()
    assert set(get_args(Metric)) == set(MEASURES)
    assert set(get_args(Axis)) == set(AXES) and TOTAL not in AXES
