"""How long a spike of each size takes until BudgetBurn pages, and how often it does without one.

    python -m benchmarks.burn [--seed 1] [--days 28]

Real replays of the built-in rule. Spikes, minute by minute: five teams for each size, on a Tuesday from 14:00 to 18:00,
each team's calls made up anew. Without, every five minutes: four weeks of teams that are
hard to tell from a burn, and have no spike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from alerting.replay import Firing
from alerting.rules import Group
from otel_exporter import alerts
from otel_exporter.config import load
from otel_exporter.replaying import Wish, replayed
from tests.e2e import month
from tests.e2e.month import Team

_MINUTE = timedelta(minutes=1)
_SIZES = (5, 10, 20, 60)
_EACH = 5
#: A budget half as large again as what is spent, as in the month of the tests.
_PLAIN = {"office": 12.0, "night": 1.5, "budget_usd": 420.0}
_QUIET = {
    "plain": Team(**_PLAIN),
    "agents": Team(office=6, night=0.5, budget_usd=250, bursts=0.2),
    "rare-agents": Team(office=12, night=1.5, budget_usd=420, bursts=0.015),
    "batch": Team(office=2, night=0.5, batch=230, budget_usd=750),
    "late-batch": Team(office=2, night=0.5, batch=230, budget_usd=750, wanders=3),
    "around-the-clock": Team(office=60, night=60, budget_usd=3600),
}


def pages(seed: int, teams: Mapping[str, Team], wish: Wish) -> list[Firing]:
    """What BudgetBurn would have paged."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        month.write(directory / "data", month.calls(seed, teams))
        said = month.config(teams) + f"store: {{data_dir: {directory / 'data'}}}\nanomalies: {{enabled: false}}\n"
        (directory / "tokentide.yaml").write_text(said)
        settings = load(directory / "tokentide.yaml").settings
        groups, _ = alerts.groups(settings, alerts.rule_files(settings))
        burn = [Group(**{**vars(group), "rules": tuple(r for r in group.rules if _is_page(r))}) for group in groups]
        return replayed(settings, burn, wish).firings


def _is_page(rule: object) -> bool:
    return (getattr(rule, "name", ""), getattr(rule, "severity", "")) == ("BudgetBurn", "critical")


def spikes(seed: int) -> None:
    """Print minutes by size."""
    teams = {f"x{size}-{n}": Team(**_PLAIN, spike=size, spike_hours=4) for size in _SIZES for n in range(_EACH)}
    fired: dict[str, float] = {}
    wish = Wish(month.SPIKE - timedelta(hours=38), month.SPIKE + timedelta(hours=4), _MINUTE)
    for one in pages(seed, teams, wish):
        if one.since >= month.SPIKE:
            fired.setdefault(one.alert.labels["budget"], (one.since - month.SPIKE) / _MINUTE)
    print(f"{'spike':8}{'paged':>8}{'median':>8}{'slowest':>9}   minutes")
    for size in _SIZES:
        took = [minutes for name, minutes in fired.items() if name.startswith(f"x{size}-")]
        told = f"{statistics.median(took):8.0f}{max(took):9.0f}" if took else f"{'-':>8}{'-':>9}"
        print(f"{size:<8}{len(took):>6}/{_EACH}{told}", flush=True)


def quiet(seed: int, days: int) -> None:
    """Print pages a week by team."""
    wish = Wish(month.UNTIL - timedelta(days=days), month.UNTIL, 5 * _MINUTE)
    found = Counter(one.alert.labels["budget"] for one in pages(seed, _QUIET, wish))
    for team in _QUIET:
        print(f"{team:18}{found[team] / (days / 7):6.2f} pages a week")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--days", type=int, default=28)
    given = arguments.parse_args()
    began = time.monotonic()
    spikes(given.seed)
    if given.days:
        quiet(given.seed, given.days)
    print(f"seed={given.seed} seconds={time.monotonic() - began:.0f}")


if __name__ == "__main__":
    main()
