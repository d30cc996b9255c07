"""Our own metrics: every name declared once, with its meaning and what to do about it.

`Metric.X.add(...)`, `.set(...)`, `.observe(...)`: a name that is not declared here does not type-check. The table in
`docs/metrics.md` is generated from this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.samples import Sample

__all__ = ["REGISTRY", "Declared", "Metric", "Sample", "exposition"]

REGISTRY = CollectorRegistry()
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Declared:
    """One metric: Prometheus name, kind, labels, what it means and what to do when it looks wrong."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    action: str


def _collector(declared: Declared) -> Counter | Gauge | Histogram:
    if declared.kind == "counter":
        return Counter(declared.name, declared.meaning, declared.labels, registry=REGISTRY)
    if declared.kind == "gauge":
        return Gauge(declared.name, declared.meaning, declared.labels, registry=REGISTRY)
    return Histogram(declared.name, declared.meaning, declared.labels, registry=REGISTRY, buckets=SECONDS)


class Metric(Enum):
    """Every metric of the service."""

    RECEIVED = Declared(
        "tokentide_received_records_total",
        "counter",
        ("signal", "transport"),
        "Spans, log records and metric points that arrived well formed.",
        "Flat while traffic runs: look at the sender's exporter errors.",
    )
    DECODE_FALLBACKS = Declared(
        "tokentide_decode_fallbacks_total",
        "counter",
        ("signal",),
        "Batches read message by message because reading them as columns failed. Nothing is lost; it is slower.",
        "Grows: look for `decoding as columns failed` in the log; a sender encodes oddly, or chDB is short of memory.",
    )
    STORED = Declared(
        "tokentide_stored_rows_total",
        "counter",
        ("table",),
        "Rows written to ClickHouse, by table.",
        "Falls behind received: look at tokentide_spool_segments and the log.",
    )
    REFUSED = Declared(
        "tokentide_refused_requests_total",
        "counter",
        ("transport", "reason"),
        "Requests refused for good (malformed, unauthenticated, too large, wrong media type).",
        "Fix the sender named in the log line.",
    )
    RETRY_LATER = Declared(
        "tokentide_retry_later_total",
        "counter",
        ("transport", "reason"),
        "Requests answered RetryLater (overloaded, spool full, slow commit, stopping). Nothing is lost: senders retry.",
        "Give the spool more room, or ClickHouse more capacity.",
    )
    LIMITED = Declared(
        "tokentide_limited_requests_total",
        "counter",
        ("tenant", "limit"),
        "Requests over a limit of their tenant: `requests`, `bytes` (a second: come back) or `max_body` (refused).",
        "Raise `identity.limits`, or ask the tenant to send larger batches less often.",
    )
    TENANT_BYTES = Declared(
        "tokentide_received_bytes_total",
        "counter",
        ("tenant",),
        "Bytes of request bodies as sent, by tenant.",
        "Shows who sends how much; what to set `identity.limits` to.",
    )
    RESENT = Declared(
        "tokentide_resent_requests_total",
        "counter",
        ("signal",),
        "Byte-identical requests acknowledged again without storing them twice.",
        "Many: senders time out before the acknowledgement; look at tokentide_commit_seconds.",
    )
    IN_FLIGHT = Declared(
        "tokentide_in_flight_bytes",
        "gauge",
        (),
        "Bytes of requests admitted and not yet acknowledged.",
        "Close to ingest.max_in_flight_bytes: senders are about to be asked to retry.",
    )
    QUEUE_BYTES = Declared(
        "tokentide_queue_bytes",
        "gauge",
        (),
        "Bytes of valid requests that wait for the next group to be committed.",
        "Close to tokentide_queue_limit_bytes: more arrives than can be stored; senders are asked to retry.",
    )
    QUEUE_LIMIT = Declared(
        "tokentide_queue_limit_bytes",
        "gauge",
        (),
        "Bytes that may wait: what is committed in 3 seconds, as measured.",
        "Falls: the disk or the processor has become slow.",
    )
    LIMIT = Declared(
        "tokentide_limit",
        "gauge",
        ("bound",),
        "A bound, by its setting (`spool.max_bytes`, `ingest.max_in_flight_bytes` ...); fixed ones by a name.",
        "Draw it beside what it bounds, as `tokentide_spool_bytes`.",
    )
    COMMIT_SECONDS = Declared(
        "tokentide_commit_seconds",
        "histogram",
        (),
        "Seconds from taking a group of requests to its fsync (the acknowledgement).",
        "p99 over 0.25: slow disk, or more load than cores.",
    )
    STAGE_SECONDS = Declared(
        "tokentide_stage_seconds_total",
        "counter",
        ("stage",),
        "Wall seconds spent per stage of the pipeline.",
        "Shows what bounds throughput.",
    )
    SPOOL_BYTES = Declared(
        "tokentide_spool_bytes",
        "gauge",
        (),
        "Bytes acknowledged and not yet in ClickHouse.",
        "Growing: ClickHouse is slow or down.",
    )
    SPOOL_SEGMENTS = Declared(
        "tokentide_spool_segments",
        "gauge",
        (),
        "Segments acknowledged and not yet in ClickHouse.",
        "Growing: ClickHouse is slow or down.",
    )
    INSERT_FAILURES = Declared(
        "tokentide_insert_failures_total",
        "counter",
        ("kind",),
        "Failed inserts, by kind: transient (tried again) or permanent (bisected).",
        "Permanent ones end in the dead-letter directory; read the error beside the rows.",
    )
    LOOKUP_FAILURES = Declared(
        "tokentide_lookup_failures_total",
        "counter",
        ("kind",),
        "Questions asked before a batch is written that failed, by kind: transient or permanent. Asked again for ever.",
        "Permanent: /readyz says why; `tokentide migrate status` says whether tables are missing.",
    )
    DEAD_LETTERS = Declared(
        "tokentide_dead_letter_rows_total",
        "counter",
        ("table",),
        "Rows ClickHouse would not take, kept in dead-letter/ with the error.",
        "Any: read the error, mend, `tokentide spool replay --dead-letters`.",
    )
    CORRUPT_SEGMENTS = Declared(
        "tokentide_corrupt_segments_total",
        "counter",
        (),
        "Spool segments whose checksums did not agree, moved to dead-letter/.",
        "Any: the disk returns other bytes than were written. Replace it; the senders were already answered.",
    )
    CALLS = Declared(
        "tokentide_calls_total",
        "counter",
        ("source",),
        "Observations of LLM calls, by dialect.",
        "A dialect at zero that used to send: see docs/clients.",
    )
    ENTRIES = Declared(
        "tokentide_ledger_entries_total",
        "counter",
        ("sign",),
        "Ledger entries posted: `entry` and `reversal`.",
        "Many reversals: several observations of a call arrive in different batches; harmless.",
    )
    ISSUES = Declared(
        "tokentide_call_issues_total",
        "counter",
        ("issue",),
        "Issues on posted calls, such as unpriced_model or tokens_unknown.",
        "`tokentide report --unpriced` lists the models.",
    )
    MENDED = Declared(
        "tokentide_mended_calls_total",
        "counter",
        (),
        "Calls that another receiver had posted at the same time; they are mended.",
        "Harmless. Many: send all spans of a trace to one receiver. Any on an embedded store: find the other.",
    )
    LAST_STORED = Declared(
        "tokentide_last_stored_timestamp_seconds",
        "gauge",
        (),
        "When a batch last reached ClickHouse completely (Unix time).",
        "Old while the spool is not empty: the writer is stuck.",
    )

    JOB_RUNS = Declared(
        "tokentide_job_runs_total",
        "counter",
        ("task", "outcome"),
        "Runs of scheduled jobs, by outcome: `ok` or `failed`.",
        "`failed` grows: the log names the job and what stopped it.",
    )
    JOB_SECONDS = Declared(
        "tokentide_job_seconds_total",
        "counter",
        ("task",),
        "Wall seconds scheduled jobs took.",
        "Grows as fast as the clock: the job takes longer than its interval.",
    )
    JOB_MISSED = Declared(
        "tokentide_job_missed_total",
        "counter",
        ("task",),
        "Times a scheduled job was due and did not run: the run before was still going, or the machine slept.",
        "Steadily growing: the job is too slow for its interval.",
    )
    JOB_LAST_SUCCESS = Declared(
        "tokentide_job_last_success_timestamp_seconds",
        "gauge",
        ("task",),
        "When a scheduled job last ended well (Unix time).",
        "Old: alerts or forecasts are not computed any more.",
    )
    FORECASTS = Declared(
        "tokentide_forecasts_total",
        "counter",
        ("outcome",),
        "Series the service forecast on its schedule, by outcome: `ok` or `failed`.",
        "`failed` grows: the log names the series and why.",
    )
    INCIDENTS = Declared(
        "tokentide_incidents",
        "gauge",
        (),
        "Anomalies that last.",
        "Above 0: `tokentide anomalies` names them and what caused them.",
    )
    BUDGETS = Declared(
        "tokentide_budgets",
        "gauge",
        ("source",),
        "Budgets with an outlook, by source: `config`, `gateway`, `outlook` (the plain month of a tenant).",
        "`gateway` at forecast.gateway_budgets: raise it, or some have no outlook.",
    )
    ALERTS = Declared(
        "tokentide_alerts",
        "gauge",
        ("rule", "state"),
        "Alerts there are now, by rule and state: `pending` or `firing`.",
        "`tokentide alerts list` shows them.",
    )
    ALERT_RULE_FAILURES = Declared(
        "tokentide_alert_rule_failures_total",
        "counter",
        ("rule",),
        "Evaluations that failed; the rule keeps its state meanwhile.",
        "`tokentide alerts check` on the file named in the log.",
    )
    ALERT_RULE_HEALTHY = Declared(
        "tokentide_alert_rule_healthy",
        "gauge",
        ("rule", "kind"),
        "1 for how the rule's last evaluation went: `ok`, `failed`, or `absent` (its data are too old), else 0.",
        "`failed`: see above. `absent`: look at what fills its tables.",
    )
    ALERT_RULES_REFUSED = Declared(
        "tokentide_alert_rules_refused",
        "gauge",
        (),
        "Mistakes in rule files; the rules that have them are not evaluated.",
        "Any: `tokentide alerts check` lists them.",
    )
    ALERTS_SENT = Declared(
        "tokentide_alerts_sent_total",
        "counter",
        ("alertmanager",),
        "Alerts an Alertmanager took, resends included.",
        "Flat while alerts fire: see failures.",
    )
    ALERTS_FAILED = Declared(
        "tokentide_alerts_send_failures_total",
        "counter",
        ("alertmanager",),
        "Alerts an Alertmanager did not take; they are tried again.",
        "Look whether it lives and whether its credentials hold.",
    )
    ALERTS_DROPPED = Declared(
        "tokentide_alerts_dropped_total",
        "counter",
        ("alertmanager",),
        "Alerts given up for one Alertmanager: it declined them, they waited too long, or the queue was full.",
        "Any: the log says why.",
    )
    ALERTS_WAITING = Declared(
        "tokentide_alerts_waiting",
        "gauge",
        ("alertmanager",),
        "Alerts that wait for an Alertmanager.",
        "Growing: it is away.",
    )

    ENRICHMENT_RULES = Declared(
        "tokentide_enrichment_rules",
        "gauge",
        (),
        "Rules of the enrichment tables in use.",
        "Not what you wrote: see tokentide_enrichment_current.",
    )
    ENRICHMENT_CURRENT = Declared(
        "tokentide_enrichment_current",
        "gauge",
        (),
        "1 while the enrichment tables in use are those on disk, 0 after a change that could not be read.",
        "0: the log says which file, which line and why; the tables before the change stay in use.",
    )
    DROPPED_RECORDS = Declared(
        "tokentide_dropped_records_total",
        "counter",
        ("signal", "processor"),
        "Records a processor left out: spans that are not sampled, and what your own processors drop.",
        "More than sampling explains: look at your own processors.",
    )
    DROPPED_ATTRIBUTES = Declared(
        "tokentide_dropped_attributes_total",
        "counter",
        ("signal", "processor"),
        "Attributes a processor left out, those of left-out records included: content, and what the lists deny.",
        "Unexpected under `attributelists`: look at attributes.allow and attributes.deny.",
    )

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._collector = _collector(declared)

    def add(self, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        assert isinstance(self._collector, Counter)
        (self._collector.labels(**labels) if labels else self._collector).inc(amount)

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        assert isinstance(self._collector, Gauge)
        (self._collector.labels(**labels) if labels else self._collector).set(value)

    def observe(self, value: float) -> None:
        """Record one value of a histogram."""
        assert isinstance(self._collector, Histogram)
        self._collector.observe(value)

    def time(self) -> AbstractContextManager[object]:
        """Record how long a block takes, in a histogram of seconds."""
        assert isinstance(self._collector, Histogram)
        return self._collector.time()

    def samples(self) -> Sequence[Sample]:
        """What it says now, as Prometheus client's samples; of a metric with labels, those label values seen so far."""
        (family,) = self._collector.collect()
        return family.samples


def exposition() -> bytes:
    """All metrics in Prometheus text format."""
    return generate_latest(REGISTRY)
