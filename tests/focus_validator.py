"""The FinOps Foundation's own validator of FOCUS files, in an environment of its own (its pins are not ours)."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

INSTALL: Final = (
    "python3 -m venv focus && focus/bin/pip install focus-validator 'multimethod<2' && "
    "export TEST_FOCUS_VALIDATOR=$PWD/focus"
)
#: The rules for FOCUS 1.0 of its release 1.0.0 still ask for these columns under the names of drafts.
_DRAFT: Final = {
    "ProviderName": "Provider",
    "PublisherName": "Publisher",
    "InvoiceIssuerName": "InvoiceIssuer",
    "ResourceId": "ResourceID",
}


def validator() -> Path:
    """The command; the test is skipped where it is not installed."""
    named = os.environ.get("TEST_FOCUS_VALIDATOR")
    found = Path(named) / "bin" / "focus-validator" if named else Path(shutil.which("focus-validator") or "/missing")
    if not found.exists():
        pytest.skip(f"no FOCUS validator: {INSTALL}")
    return found.resolve()


def complaints(file: Path) -> str:
    """What the validator has to say against a CSV file by the newest FOCUS it knows up to 1.2; '' is nothing."""
    command = validator()
    versions = _run(command, "--supported-versions").stdout.split()
    if "1.2" in versions:
        arguments = ["--data-file", str(file), "--validate-version", "1.2", "--block-download"]
    else:
        assert "1.0" in versions, versions
        arguments = ["--data-file", str(_in_draft_names(file)), "--validate-version", "1.0"]
    answer = _run(command, *arguments)
    failed = answer.returncode != 0 or "Validation failed" in answer.stdout or " FAIL" in answer.stdout
    return answer.stdout[-3000:] + answer.stderr[-3000:] if failed else ""


def _run(command: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """It looks for its list of currencies below the directory it runs in."""
    (packages,) = command.parent.parent.glob("lib/python3*/site-packages")
    return subprocess.run([command, *arguments], cwd=packages, capture_output=True, text=True, timeout=240, check=False)


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
