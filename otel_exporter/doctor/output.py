"""Prints an examination: tables and sentences for people, one array with a ``section`` for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final, TextIO

from otel_exporter.doctor.advice import Finding, Severity
from otel_exporter.doctor.examination import Emitter, Examination
from otel_exporter.doctor.probe import Probe
from otel_exporter.render import Format, Table, render, safe, write_json

_MARKS: Final = {Severity.LOST: "!!", Severity.MISSING: " !", Severity.NOTE: "  "}
_SHOWN: Final = 10  # subjects of one finding that people see
_HEADINGS: Final = {
    Severity.LOST: "Calls, tokens or money are lost",
    Severity.MISSING: "Missing: who asked, or what exactly",
    Severity.NOTE: "Good to know",
}


def show(probe: Probe, found: Examination, form: Format, out: TextIO) -> None:
    """Print what the probe and the examination found."""
    if form is Format.JSON:
        write_json(_records(probe, found), out)
    elif form is Format.CSV:
        render(Table.of(_records(probe, found)), form, out)
    else:
        out.writelines(_for_people(probe, found))
        if found.emitters:
            render(_producers(found), Format.TABLE, out)
        out.writelines(_advice(found))


def _records(probe: Probe, found: Examination) -> Iterator[dict[str, Any]]:
    yield {"section": "probe", **asdict(probe)}
    yield {
        "section": "total",
        "since": found.since,
        "spans": found.spans,
        "records": found.records,
        "calls": found.calls,
        "last_span": found.last_span,
    }
    for emitter in found.emitters:
        yield {"section": "emitter", **asdict(emitter)}
    for finding in found.findings:
        yield {"section": "finding", **asdict(finding)}


def _for_people(probe: Probe, found: Examination) -> Iterator[str]:
    yield f"Path: {safe(probe.sentence)}.\n"
    arrived = f"{found.spans} spans, {found.records} log records, {found.calls} calls"
    yield f"Since {found.since:%Y-%m-%d %H:%M} UTC: {arrived}.\n\n"
    if not found.emitters:
        yield "No producer of LLM telemetry in this time"
        yield f"; the last span came {found.last_span} (--since looks further back).\n" if found.spans else ".\n"
        yield "How to point one here: docs/clients/README.md\n"


def _producers(found: Examination) -> Table:
    rows = [_producer(emitter) for emitter in found.emitters]
    return Table.of(rows, "Producers")


def _producer(emitter: Emitter) -> dict[str, Any]:
    return {
        "producer": emitter.title,
        "service": emitter.service,
        "scope and version": f"{emitter.scope} {emitter.version or '(version not said)'}",
        "sdk": emitter.sdk,
        "signal": emitter.signal,
        "records": emitter.records,
        "calls": emitter.calls,
        "read as": ", ".join(emitter.read_as) or ("-" if emitter.signal == "metrics" else "no call"),
        "last seen": emitter.last_seen[:19].replace("T", " "),
    }


def _advice(found: Examination) -> Iterator[str]:
    for severity, heading in _HEADINGS.items():
        chosen = [finding for finding in found.findings if finding.severity is severity]
        if chosen:
            yield f"\n{heading}\n"
        for same in _alike(chosen):
            yield from map(_line, _paragraph(same))
    if found.emitters and not found.findings:
        yield "\nNothing is missing.\n"


def _alike(findings: Sequence[Finding]) -> Iterable[list[Finding]]:
    """Findings that say the same of several subjects, together."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.loss, finding.page), []).append(finding)
    return groups.values()


def _paragraph(same: Sequence[Finding]) -> Iterator[str]:
    first = same[0]
    yield f"{_MARKS[first.severity]} {first.rule}: {first.loss}."
    widest = max(len(finding.subject) for finding in same[:_SHOWN])
    for finding in same[:_SHOWN]:
        of = f" of {finding.of}" if finding.of else ""
        example = f", for example trace {finding.example}" if finding.example else ""
        yield f"     {finding.subject or '(nameless)':<{widest}}  {finding.count}{of}{example}"
    if len(same) > _SHOWN:
        yield f"     ... and {len(same) - _SHOWN} more (--format json lists them all)"
    for change in dict.fromkeys(finding.mend for finding in same):
        places = list(dict.fromkeys(finding.mend_in for finding in same if finding.mend == change))
        more = "; ..." if len(places) > _SHOWN else ""
        yield f"   Mend it in: {'; '.join(places[:_SHOWN])}{more}" if any(places) else "   Mend:"
        yield from (f"     {line}" for line in change.split("\n"))
    yield f"   More: {first.page}"


def _line(text: str) -> str:
    return safe(text) + "\n"
