"""`tokentide compare litellm`: differences of every kind are planted, and each is named with its exact amount."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import asked, tokentide
from tests.e2e.test_import_litellm import _spans
from tests.litellm_books import KEY, TEAMS, Books, Row, serving, spend_log

pytestmark = [pytest.mark.e2e]

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=4)
NOON = DAY + timedelta(hours=12)
Seen = dict[str, Any]
_PARTS = ("unseen", "only_ours", "cache_hits", "prices", "rounding", "time_zone", "attribution")


def _call(number: int, at: datetime = NOON, usd: float = 0.001, **changes: Any) -> Row:
    """A plain call of the search team that cost so much."""
    return spend_log(number * 10 + 6 * (number % 2), at, spend=usd, **changes)


def _planted() -> tuple[list[Row], list[Row], dict[str, str]]:
    """Their rows, what our spans say of the same calls, and the residual of each kind over all days."""
    late = DAY + timedelta(days=1)
    theirs = [
        _call(1), _call(2, usd=0.011), _call(4, usd=0.02, cache_hit="True", request_id="chatcmpl-hit_cache_hit1.5"),
        _call(5, usd=0.05), _call(6, usd=0.01), _call(7, late - timedelta(milliseconds=10), usd=0.007),
        _call(8, usd=0.009, team_id="t-search"),
    ]  # fmt: skip
    agreed, _, hit, price, rounded, moved, renamed = theirs
    ours = [
        agreed,
        _call(3, usd=0.013),
        hit | {"spend": 0.0},
        price | {"spend": 0.03},
        rounded | {"spend": 0.010000000003},
        moved | {"startTime": (late + timedelta(milliseconds=10)).isoformat()},
        renamed | {"team_id": "t-ads"},
    ]
    exact = {"unseen": "-0.011", "only_ours": "0.013", "cache_hits": "-0.02", "prices": "-0.02"}
    return theirs, ours, exact | {"rounding": "0.000000000003"}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str, int, Path]:
    """The cells, what was said beside them, the exit code, and the data directory."""
    directory = tmp_path_factory.mktemp("compare")
    theirs, ours, _ = _planted()
    (directory / "seen.traces.pb").write_bytes(_spans(ours))
    (directory / "key").write_text(KEY)
    data = directory / "data"
    stored = tokentide("ingest", directory / "seen.traces.pb", "--data-dir", data, cwd=directory)
    assert stored.returncode == 0, stored.stderr
    with serving(Books(theirs)) as url:
        ran = tokentide(
            *("compare", "litellm", "--url", url, "--key-file", directory / "key", "--since", "6d", "--data-dir", data),
            *("--requests-per-second", "100", "--format", "json"),
            cwd=directory,
        )
    assert KEY not in ran.stdout + ran.stderr
    return json.loads(ran.stdout), ran.stderr, ran.returncode, data


def _sums(cells: list[dict[str, Any]], **only: str) -> dict[str, Decimal]:
    chosen = [cell for cell in cells if all(cell[name] == value for name, value in only.items())]
    columns = ("theirs", "ours", *_PARTS)
    return {name: sum((Decimal(cell[f"{name}_usd"]) for cell in chosen), Decimal(0)) for name in columns}


def test_each_kind_is_named_with_its_exact_amount(compared: tuple[list[dict[str, Any]], str, int, Path]) -> None:
    """Every planted difference is in its own column, to the last digit; calls on one side only are counted."""
    cells, _, _, _ = compared
    total = _sums(cells, dimension="total")
    expected = {name: Decimal(amount) for name, amount in _planted()[2].items()}
    assert {name: total[name] for name in expected} == expected
    assert total["time_zone"] == total["attribution"] == 0
    days = {cell["day"][:10]: cell for cell in cells if cell["dimension"] == "total"}
    first, second = str(DAY.date()), str((DAY + timedelta(days=1)).date())
    assert Decimal(days[first]["time_zone_usd"]) == Decimal("-0.007")
    assert Decimal(days[second]["time_zone_usd"]) == Decimal("0.007")
    assert _sums(cells, dimension="team", member="ads")["attribution"] == Decimal("0.009")
    assert _sums(cells, dimension="team", member="search")["attribution"] == Decimal("-0.009")
    counts = [sum(cell[name] for cell in days.values()) for name in ("theirs_calls", "unseen_calls", "only_ours_calls")]
    assert counts == [7, 1, 1]


def test_nothing_of_the_residual_is_left_over(compared: tuple[list[dict[str, Any]], str, int, Path]) -> None:
    """In every cell of every dimension ours - theirs is exactly the sum of the parts, and dimensions agree on sums."""
    cells, _, _, _ = compared
    for cell in cells:
        parts = sum((Decimal(cell[f"{part}_usd"]) for part in _PARTS), Decimal(0))
        assert Decimal(cell["ours_usd"]) - Decimal(cell["theirs_usd"]) == parts, cell
    for dimension in ("team", "key", "model"):
        found, total = _sums(cells, dimension=dimension), _sums(cells, dimension="total")
        assert (found["theirs"], found["ours"]) == (total["theirs"], total["ours"])
    assert {cell["member"] for cell in cells if cell["dimension"] == "team"} <= set(TEAMS.values())


def test_the_verdict_and_its_record(compared: tuple[list[dict[str, Any]], str, int, Path]) -> None:
    """Beyond the tolerance the exit code is 1, and the comparison is in genai_agreement as it was printed."""
    cells, said, code, data = compared
    assert code == 1 and "beyond 0.5%" in said
    kept = asked(data, "SELECT * FROM genai_agreement FINAL WHERE dimension = 'total' ORDER BY day")
    columns = ("theirs_usd", "ours_usd", "imported_usd", *(f"{part}_usd" for part in _PARTS))
    printed = [cell for cell in cells if cell["dimension"] == "total"]
    assert [[Decimal(row[name]) for name in columns] for row in kept] == [
        [Decimal(cell[name]) for name in columns] for cell in printed
    ]
    assert len({row["run_id"] for row in kept}) == 1 and len(kept) == 2


def test_after_an_import_both_agree(compared: tuple[list[dict[str, Any]], str, int, Path], tmp_path: Path) -> None:
    """Once the books are imported nothing is unseen and prices agree; what only we saw stays."""
    _, _, _, data = compared
    (tmp_path / "key").write_text(KEY)
    with serving(Books(_planted()[0])) as url:
        reach = ("--url", url, "--key-file", tmp_path / "key", "--data-dir", data, "--since", "6d")
        assert tokentide("import", "litellm", *reach, cwd=tmp_path).returncode == 0
        ran = tokentide("compare", "litellm", *reach, "--tolerance", "40%", "--format", "json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    total = _sums(json.loads(ran.stdout), dimension="total")
    assert total["unseen"] == total["prices"] == 0
    assert total["only_ours"] == Decimal("0.013")
