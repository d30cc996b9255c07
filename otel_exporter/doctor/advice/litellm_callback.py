"""What Tokentide's callback for LiteLLM counted, against what arrived: its records are numbered."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice.rule import Mend, Rule, Severity
from otel_exporter.doctor.facts import BY_CALLBACK, LOGS, SINCE

_NUMBER: Final = "toUInt64OrZero(LogAttributes['litellm.callback.sequence'])"
_COUNTER: Final = "toUInt64OrZero(LogAttributes['litellm.callback.{}'])"
#: A process began before ``since``, perhaps; records of that moment may have been numbered in another order.
_FIRST: Final = f"minIf({_NUMBER}, {_NUMBER} > 0 AND Timestamp >= {SINCE} + INTERVAL 1 MINUTE)"
_INSTANCES: Final = f"""(SELECT ServiceName, LogAttributes['litellm.callback.instance'] AS instance, {_FIRST} AS first,
        greatest(max({_NUMBER}), max({_COUNTER.format("seen")})) AS last,
        arrayCount(n -> n >= first AND first > 0, groupUniqArray({_NUMBER})) AS arrived,
        max({_COUNTER.format("dropped")}) AS dropped
    FROM {LOGS} WHERE {BY_CALLBACK} GROUP BY ServiceName, instance HAVING first > 0)"""

RULES: Final = (
    Rule(
        name="litellm.callback_records_lost",
        severity=Severity.LOST,
        sql=f"""SELECT ServiceName AS subject, sum(last + 1 - first - arrived) AS count, sum(last + 1 - first) AS of,
            toString(sum(dropped)) AS detail FROM {_INSTANCES} GROUP BY subject HAVING count > 0""",
        loss="LiteLLM made more calls than Tokentide's callback could deliver: the numbers of its records have gaps."
        " {detail} were dropped where they were made, because the receiver did not answer or keep up",
        mends={
            "": Mend(
                "environment of {subject}",
                "OTEL_BLRP_MAX_QUEUE_SIZE=16384    # and keep the receiver reachable: a Collector with a queue on disk"
                " in front of it does",
            )
        },
        page="litellm-callback.md",
    ),
)
