"""What the gateway's own books show that its telemetry does not: calls that never came as spans."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice.rule import Mend, Rule, Severity
from otel_exporter.doctor.facts import CALLS

_BOOKED: Final = "sources = ['litellm.spend_log']"
#: Hours in which the gateway's spans did arrive: before there was telemetry, nothing of it was lost.
_TRACED: Final = f"(SELECT toStartOfHour(started_at) FROM {CALLS} WHERE gateway = 'litellm' AND NOT ({_BOOKED}))"

RULES: Final = (
    Rule(
        name="litellm.only_in_the_books",
        severity=Severity.MISSING,
        sql=f"""SELECT if(api_key_alias != '', api_key_alias, 'the gateway') AS subject, countIf({_BOOKED}) AS count,
            count() AS of, (SELECT argMax(trace_id, started_at) FROM {CALLS}
                WHERE gateway = 'litellm' AND NOT ({_BOOKED})) AS example
            FROM {CALLS} WHERE gateway = 'litellm' AND toStartOfHour(started_at) IN {_TRACED}
            GROUP BY subject HAVING count > 0""",
        loss="calls of this key are in LiteLLM's spend logs and never came as spans, though others of the same hours"
        " did: without an import they would be missing, and with it their application, session and retries are",
        mends={
            "": Mend(
                "environment of the LiteLLM proxy",
                "OTEL_BSP_SCHEDULE_DELAY=500 (spans in its queue are lost when it stops), and no sampling before us",
            )
        },
        page="../import.md",
    ),
)
