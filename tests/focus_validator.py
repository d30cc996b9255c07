"""The FinOps Foundation's own validator of FOCUS files, in environments of its own (its pins are not ours).

On Python 3.12 that is release 2 with the rules of FOCUS 1.2, on older ones release 1.0.0 with those of FOCUS 1.0.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

INSTALL: Final = (
    "python3.12 -m venv focus && focus/bin/pip install 'focus-validator>=2.2' 'pyarrow<26' && "
    "export TEST_FOCUS_VALIDATOR=$PWD/focus   (on Python 3.11: focus-validator 'multimethod<2'; both: dir:dir)"
)
#: What the provider of a statement, which is ours, does. Not: list prices and prices of a unit, since one row sums up
#: tokens of several prices; regions, commitments, capacity reservations, other currencies.
CRITERIA: Final = (
    "ACCOUNT_NAMING_SUPPORTED", "SUB_ACCOUNT_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED", "TAGGING_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
)  # fmt: skip
#: The rules for FOCUS 1.0 of its release 1.0.0 still ask for these columns under the names of drafts.
_DRAFT: Final = {
    "ProviderName": "Provider",
    "PublisherName": "Publisher",
    "InvoiceIssuerName": "InvoiceIssuer",
    "ResourceId": "ResourceID",
}
_FAILED: Final = re.compile(r"^\S+ (\S+): FAIL\b.*$", re.MULTILINE)
_PASSED: Final = re.compile(r"^\S+ (\S+): PASS\b", re.MULTILINE)


def validators() -> list[Path]:
    """The commands; the test is skipped where none is installed."""
    named = os.environ.get("TEST_FOCUS_VALIDATOR")
    on_path = shutil.which("focus-validator")
    found = [Path(one) / "bin" / "focus-validator" for one in named.split(os.pathsep)] if named else []
    found = found or ([Path(on_path)] if on_path else [])
    if not found or not all(command.exists() for command in found):
        pytest.skip(f"no FOCUS validator: {INSTALL}")
    return [command.resolve() for command in found]


def complaints(file: Path) -> dict[str, str]:
    """FOCUS version -> what a validator has to say against a CSV file by it; those that say nothing are left out."""
    said = dict(_complaints(command, file) for command in validators())
    return {version: words for version, words in said.items() if words}


def versions() -> set[str]:
    """The versions whose rules are there."""
    return {"1.2" if _model(command) else "1.0" for command in validators()}


def _complaints(command: Path, file: Path) -> tuple[str, str]:
    if model := _model(command):
        criteria = ("--applicability-criteria", ",".join(CRITERIA))
        answer = _run(command, "--data-file", str(file), "--validate-version", "1.2", "--block-download", *criteria)
        return "1.2", _against(answer, model)
    answer = _run(command, "--data-file", str(_in_draft_names(file)), "--validate-version", "1.0")
    failed = answer.returncode != 0 or "Validation failed" in answer.stdout
    return "1.0", answer.stdout[-3000:] + answer.stderr[-3000:] if failed else ""


def _against(answer: subprocess.CompletedProcess[str], model: Path) -> str:
    """Release 2 ends with 0 whatever it finds, and counts a way not taken as a failure: "InvoiceId is null" and
    "InvoiceId is not null" are two ways of one rule, of which no file takes both.
    """
    passed = set(_PASSED.findall(answer.stdout))
    if answer.returncode != 0 or len(passed) < 10:
        return answer.stdout[-3000:] + answer.stderr[-3000:] or "no answer"
    taken = {way for rule, ways in _ways(json.loads(model.read_text())) if rule in passed for way in ways}
    return "\n".join(line[0] for line in _FAILED.finditer(answer.stdout) if line[1] not in taken)


def _ways(model: Any) -> Iterator[tuple[str, list[str]]]:
    """Rules that are kept when one of others is: their names, and those of the others."""
    for name, said in model.items() if isinstance(model, dict) else enumerate(model):
        criteria = said.get("ValidationCriteria") if isinstance(said, dict) else None
        if criteria and criteria["Requirement"].get("CheckFunction") == "OR":
            yield str(name), [item["ModelRuleId"] for item in criteria["Requirement"]["Items"] if "ModelRuleId" in item]
        elif not criteria and isinstance(said, dict | list):
            yield from _ways(said)


def _packages(command: Path) -> Path:
    (packages,) = command.parent.parent.glob("lib/python3*/site-packages")
    return packages


def _model(command: Path) -> Path | None:
    """The newest rules of FOCUS 1.2 that came with it: None when it is of before that."""
    found = sorted((_packages(command) / "focus_validator" / "rules").glob("model-1.2.*.json"))
    return found[-1] if found else None


def _run(command: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Release 1 looks for its list of currencies below the directory it runs in."""
    return subprocess.run(
        [command, *arguments], cwd=_packages(command), capture_output=True, text=True, timeout=240, check=False
    )


def _in_draft_names(file: Path) -> Path:
    with file.open(newline="") as source:
        header, *rows = csv.reader(source)
    category = header.index("ChargeCategory")
    draft = file.with_suffix(".draft.csv")
    with draft.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow([*(_DRAFT.get(name, name) for name in header), "ChargeType"])
        writer.writerows([*row, row[category]] for row in rows)
    return draft
